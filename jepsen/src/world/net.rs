//! One network namespace per node on a bridge that lies in a namespace of its own, so that the host's interfaces and
//! filters are not touched. Packets are dropped at their receiver, which makes one-way cuts possible.

use super::tool::tool;
use anyhow::{Context, Result};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

/// The namespaces of one run. Dropping it removes them.
pub struct Network {
    prefix: String,
    net: (u8, u8),
    nodes: usize,
}

impl Network {
    /// A bridge and so many nodes with a cable each.
    pub fn new(nodes: usize) -> Result<Network> {
        sweep();
        let own = std::process::id();
        let [.., high, low] = own.to_be_bytes();
        let network = Network { prefix: format!("mj{own}"), net: (64 + (high & 63), low), nodes };
        let switch = network.switch();
        tool(&["ip", "netns", "add", &switch])?;
        network.ip(&switch, "link set lo up")?;
        network.ip(&switch, "link add name sw0 type bridge")?;
        network.ip(&switch, "link set sw0 up")?;
        network.ip(&switch, &format!("addr add {}/24 dev sw0", network.sink()))?;
        for node in 0..nodes {
            network.plug(node)?;
        }
        Ok(network)
    }

    fn plug(&self, node: usize) -> Result<()> {
        let (switch, name, port) = (self.switch(), self.namespace(node), format!("port{node}"));
        tool(&["ip", "netns", "add", &name])?;
        self.ip(&switch, &format!("link add name {port} type veth peer name eth0 netns {name}"))?;
        self.ip(&switch, &format!("link set {port} master sw0 up"))?;
        self.ip(&name, "link set lo up")?;
        self.ip(&name, &format!("addr add {}/24 dev eth0", self.address(node)))?;
        self.ip(&name, "link set eth0 up")?;
        // Faults get chains of their own, so that undoing one does not undo another.
        for chain in ["CUT", "SLOW"] {
            self.filter(node, &format!("-N {chain}"))?;
            self.filter(node, &format!("-A INPUT -j {chain}"))?;
        }
        Ok(())
    }

    /// The name of a node's namespace.
    pub fn namespace(&self, node: usize) -> String {
        format!("{}n{}", self.prefix, node + 1)
    }

    /// The namespace of the bridge.
    pub fn switch(&self) -> String {
        format!("{}sw", self.prefix)
    }

    /// A node's address.
    pub fn address(&self, node: usize) -> Ipv4Addr {
        let host = u8::try_from(node + 1).unwrap_or(u8::MAX);
        Ipv4Addr::new(10, self.net.0, self.net.1, host)
    }

    /// Where the outside world is, as the nodes see it.
    pub fn sink(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, self.net.0, self.net.1, 254)
    }

    /// Nothing from one node arrives at the other, until [`Self::mend`].
    pub fn cut(&self, from: usize, to: usize) -> Result<()> {
        self.filter(to, &format!("-A CUT -s {} -j DROP", self.address(from)))
    }

    /// Every cut ends. Returns how many packets the cuts dropped.
    pub fn mend(&self) -> Result<u64> {
        (0..self.nodes).map(|node| self.flush(node, "CUT")).sum()
    }

    /// A part of what arrives at a node on the cluster port is lost, the rest is handed to queue 1 when `delayed`.
    pub fn disturb(&self, node: usize, lost: f64, delayed: bool) -> Result<()> {
        if lost > 0.0 {
            let chance = format!("-m statistic --mode random --probability {lost}");
            self.filter(node, &format!("-A SLOW -i eth0 -p udp {chance} -j DROP"))?;
        }
        if delayed {
            self.filter(node, "-A SLOW -i eth0 -p udp -j NFQUEUE --queue-num 1 --queue-bypass")?;
        }
        Ok(())
    }

    /// Ends [`Self::disturb`] at a node; how many packets it met.
    pub fn calm(&self, node: usize) -> Result<u64> {
        self.flush(node, "SLOW")
    }

    fn flush(&self, node: usize, chain: &str) -> Result<u64> {
        let name = self.namespace(node);
        let shown = tool(&["ip", "netns", "exec", &name, "iptables", "-w", "-L", chain, "-v", "-x", "-n"])?;
        self.filter(node, &format!("-F {chain}"))?;
        Ok(packets(&shown))
    }

    fn filter(&self, node: usize, rule: &str) -> Result<()> {
        let name = self.namespace(node);
        let mut line = vec!["ip", "netns", "exec", &name, "iptables", "-w"];
        line.extend(rule.split(' '));
        tool(&line).map(drop)
    }

    fn ip(&self, namespace: &str, what: &str) -> Result<()> {
        let mut line = vec!["ip", "-n", namespace];
        line.extend(what.split(' '));
        tool(&line).map(drop).context("needs root, iproute2 and network namespaces")
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        remove_namespaces(&self.prefix);
    }
}

/// The packets all rules of a chain have met, from `iptables -L -v -x`.
fn packets(shown: &str) -> u64 {
    shown.lines().skip(2).filter_map(|line| line.split_whitespace().next()?.parse::<u64>().ok()).sum()
}

fn remove_namespaces(prefix: &str) {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in names.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        if name.strip_prefix(prefix).is_some_and(|rest| rest.starts_with(['n', 's'])) {
            // What cannot be removed is removed by the next run's sweep.
            let _ = tool(&["ip", "netns", "del", &name]);
        }
    }
}

/// Removes what runs that were killed left behind: namespaces whose process is gone.
fn sweep() {
    let names = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    for name in names.map(|entry| entry.file_name().to_string_lossy().into_owned()) {
        let digits: String = name.strip_prefix("mj").unwrap_or("").chars().take_while(char::is_ascii_digit).collect();
        if !digits.is_empty() && !Path::new("/proc").join(&digits).exists() {
            remove_namespaces(&format!("mj{digits}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::packets;

    #[test]
    fn packets_of_all_rules_are_added() {
        let shown = "Chain CUT (1 references)\n    pkts      bytes target     prot opt in\n      7   900 DROP  0 -- * *\n     12  100 DROP\n";
        assert_eq!(packets(shown), 19);
        assert_eq!(packets("Chain CUT (1 references)\n pkts bytes target\n"), 0);
    }
}
