//! A name server for tests: answers from a table over UDP, NXDOMAIN for everything else.

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, MX};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr};
use tokio::net::UdpSocket;

/// Names and their records. A name with an empty list exists without records.
#[derive(Default)]
pub struct Zone(HashMap<Name, Vec<RData>>);

impl Zone {
    pub fn host(mut self, name: &str, address: Ipv4Addr) -> Self {
        self.0.entry(absolute(name)).or_default().push(RData::A(A(address)));
        self
    }

    pub fn mx(mut self, name: &str, preference: u16, host: &str) -> Self {
        self.0.entry(absolute(name)).or_default().push(RData::MX(MX::new(preference, absolute(host))));
        self
    }

    /// Serves until the test ends.
    pub async fn serve(self) -> SocketAddr {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 2048];
            while let Ok((count, peer)) = socket.recv_from(&mut buffer).await {
                if let Ok(query) = Message::from_vec(&buffer[..count]) {
                    let _ = socket.send_to(&self.answer(query).to_vec().unwrap(), peer).await;
                }
            }
        });
        address
    }

    fn answer(&self, query: Message) -> Message {
        let mut answer = Message::new(query.metadata.id, MessageType::Response, query.metadata.op_code);
        let Some(question) = query.queries.first().cloned() else { return answer };
        let known = self.0.iter().find(|(name, _)| name.to_lowercase() == question.name().to_lowercase());
        match known {
            None => answer.metadata.response_code = ResponseCode::NXDomain,
            Some((_, records)) => {
                let fits = |record: &&RData| {
                    record.record_type() == question.query_type() || question.query_type() == RecordType::ANY
                };
                for record in records.iter().filter(fits) {
                    answer.add_answer(Record::from_rdata(question.name().clone(), 60, record.clone()));
                }
            }
        }
        answer.add_query(question);
        answer
    }
}

fn absolute(name: &str) -> Name {
    Name::from_ascii(format!("{}.", name.trim_end_matches('.'))).unwrap()
}
