//! One run from the first node to the verdict: clients in threads, faults from the main thread (which also owns the
//! processes), then everything is healed, read and judged.

use crate::check::coverage::{self, Fault};
use crate::client::sink::Sink;
use crate::client::{Access, PASSWORD};
use crate::history::{Entry, Kind, Recorder, Value, operations, write};
use crate::limits::{CLIENT_SILENCE, LOOK_INTERVAL, PROGRESS_INTERVAL};
use crate::nemesis::{self, schedule};
use crate::report::{self, Report};
use crate::workload::{self, Worker, Workload, pause};
use crate::world::{Options, World};
use anyhow::{Context, Result, bail};
use fastrand::Rng;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// What to run.
pub struct Plan {
    /// The cluster.
    pub world: Options,
    /// Names of workloads.
    pub workloads: Vec<String>,
    /// Kinds of faults.
    pub kinds: Vec<&'static str>,
    /// How long clients work.
    pub length: Duration,
    /// Decides faults and choices.
    pub seed: u64,
    /// Clients per workload.
    pub clients: usize,
    /// Operations per second of each client, at most.
    pub rate: f64,
    /// The command line that repeats it.
    pub command: String,
}

/// A run that is going on.
struct Run<'a> {
    plan: &'a Plan,
    world: World,
    recorder: Arc<Recorder>,
    workloads: Vec<Box<dyn Workload>>,
    access: Access,
    faults: Vec<Fault>,
    wrong: Vec<String>,
    stop: Arc<AtomicBool>,
    told: Instant,
    told_done: usize,
    begun: Instant,
}

/// Runs it. Errors are faults of the harness or its machine, or Ctrl-C.
pub fn run(plan: &Plan) -> Result<Report> {
    fs::create_dir_all(&plan.world.store)?;
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        // The second one ends the process at once; the nodes end with it.
        signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop))?;
        signal_hook::flag::register(signal, Arc::clone(&stop))?;
    }
    println!("starting {} nodes", plan.world.nodes);
    let begun = Instant::now();
    let world = World::start(plan.world.clone())?;
    let sink = Sink::listen(&world.doors().sink())?;
    let minutes = plan.length.as_secs_f64() / 60.0;
    let workloads =
        plan.workloads.iter().map(|name| workload::by_name(name, minutes, &sink)).collect::<Result<Vec<_>>>()?;
    let access = Access { doors: world.doors(), tools: world.tools() };
    let told = Instant::now();
    let (recorder, faults, wrong) = (Arc::default(), Vec::new(), Vec::new());
    let mut run = Run { plan, world, recorder, workloads, access, faults, wrong, stop, told, told_done: 0, begun };
    println!("the cluster is whole {:.1} s after its start; preparing", begun.elapsed().as_secs_f64());
    run.prepare()?;
    run.recorder = Arc::default();
    run.begun = Instant::now();
    run.work()?;
    let whole = run.come_back();
    if let Ok(whole) = &whole {
        println!("whole after {} ms; reading everything", whole.as_millis());
        run.finish();
    }
    let whole_ms = whole.as_ref().ok().map(|whole| u64::try_from(whole.as_millis()).unwrap_or(u64::MAX));
    run.wrong.extend(whole.err().map(|error| format!("{error:#}")));
    run.judge(whole_ms)
}

impl Run<'_> {
    fn check_stop(&self) -> Result<()> {
        if self.stop.load(Ordering::Relaxed) { bail!("interrupted") } else { Ok(()) }
    }

    fn worker(&self, workload: &dyn Workload, number: usize) -> Worker {
        let seed = self.plan.seed ^ ((number as u64 + 1) << 32) ^ workload.name().len() as u64;
        Worker::new(self.access.clone(), Arc::clone(&self.recorder), workload.name(), number, seed)
    }

    fn prepare(&mut self) -> Result<()> {
        for account in self.workloads.iter().flat_map(|workload| workload.accounts()) {
            let added = self.world.cli(0, &["account", "add", &account, "--password-stdin"], &format!("{PASSWORD}\n"));
            let added = added.with_context(|| format!("{account} was not made"))?;
            if !added.status.success() {
                bail!("{account}: {}", String::from_utf8_lossy(&added.stderr));
            }
        }
        for workload in &self.workloads {
            self.check_stop()?;
            workload.prepare(&mut self.worker(workload.as_ref(), 0))?;
        }
        Ok(())
    }

    /// Clients and faults, for as long as the run is to last.
    fn work(&mut self) -> Result<()> {
        let working = Arc::new(AtomicBool::new(true));
        let workloads = std::mem::take(&mut self.workloads);
        let done = thread::scope(|scope| {
            for workload in &workloads {
                for number in 0..self.plan.clients {
                    let (mut worker, working) = (self.worker(workload.as_ref(), number), Arc::clone(&working));
                    let rate = self.plan.rate;
                    scope.spawn(move || {
                        while working.load(Ordering::Relaxed) {
                            workload.turn(&mut worker);
                            thread::park_timeout(pause(&mut worker.random, rate));
                        }
                    });
                }
            }
            let done = self.torment();
            working.store(false, Ordering::Relaxed);
            done
        });
        self.workloads = workloads;
        done
    }

    /// Does the planned faults.
    fn torment(&mut self) -> Result<()> {
        let end = self.begun + self.plan.length;
        let mut random = Rng::with_seed(self.plan.seed ^ 0x6e65_6d65);
        for planned in schedule::plan(self.plan.seed, self.plan.length, &self.plan.kinds) {
            self.wait(planned.calm.min(end.saturating_duration_since(Instant::now())), "calm")?;
            if Instant::now() + planned.hold / 2 > end {
                break;
            }
            self.misfortune(&planned, &mut random)?;
        }
        self.wait(end.saturating_duration_since(Instant::now()), "calm")
    }

    /// One planned fault, or two at once.
    fn misfortune(&mut self, planned: &schedule::Planned, random: &mut Rng) -> Result<()> {
        let watched = self.watched();
        let mut going = Vec::new();
        for kind in &planned.kinds {
            let from = self.recorder.now();
            match nemesis::begin(kind, &mut self.world, random, &watched) {
                Ok(fault) => {
                    self.note(kind, format!("begin: {}", fault.what()));
                    going.push((*kind, from, fault));
                }
                Err(error) => {
                    println!("{kind} cannot begin: {error:#}");
                    // Maintenance of a whole cluster must succeed.
                    if matches!(*kind, "members" | "drain") {
                        self.wrong.push(format!("{kind}: {error:#}"));
                    }
                    self.note(kind, format!("cannot begin: {error:#}"));
                    let (time, what) = ((from, self.recorder.now()), format!("cannot begin: {error:#}"));
                    self.faults.push(Fault { kind, time, what, evidence: 0 });
                }
            }
        }
        let (label, end) = (planned.kinds.join(" + "), Instant::now() + planned.hold);
        let mut ticked = true;
        while Instant::now() < end && ticked && !going.is_empty() {
            self.pulse(&label)?;
            thread::park_timeout(LOOK_INTERVAL * 4);
            for (kind, _, fault) in &mut going {
                if let Err(error) = fault.tick(&mut self.world, random) {
                    println!("{kind}: {error:#}");
                    ticked = false;
                }
            }
        }
        for (kind, from, fault) in going {
            let what = fault.what();
            let evidence = fault.end(&mut self.world).unwrap_or_else(|error| {
                println!("{kind} does not end: {error:#}");
                0
            });
            self.note(kind, format!("end: {what} (evidence {evidence})"));
            self.faults.push(Fault { kind, time: (from, self.recorder.now()), what, evidence });
        }
        Ok(())
    }

    /// The account whose leader is struck.
    fn watched(&self) -> String {
        let accounts = self.workloads.iter().flat_map(|workload| workload.accounts()).next();
        accounts.unwrap_or_else(|| "set0@example.org".to_owned())
    }

    fn note(&self, kind: &'static str, what: String) {
        let value = Value::Text(what);
        let entry =
            Entry { process: 0, kind: Kind::Info, workload: "nemesis", f: kind, value, time: 0, node: 0, error: None };
        self.recorder.note(entry);
    }

    fn wait(&mut self, time: Duration, label: &str) -> Result<()> {
        let end = Instant::now() + time;
        while Instant::now() < end {
            self.pulse(label)?;
            thread::park_timeout(LOOK_INTERVAL * 4);
        }
        Ok(())
    }

    /// Looks after stops, processes that ended by themselves, and the progress line.
    fn pulse(&mut self, label: &str) -> Result<()> {
        self.check_stop()?;
        for name in self.world.fallen() {
            // Giving up on a full disk is allowed; the fault starts it again.
            if !label.contains("disk-full") {
                self.wrong.push(format!("{name} ended by itself ({label})"));
                println!("{name} ended by itself ({label})");
                for node in 0..self.world.size() {
                    self.world.restart(node)?;
                }
            }
        }
        if self.told.elapsed() >= PROGRESS_INTERVAL {
            let done = self.recorder.done();
            let rate = (done - self.told_done) as f64 / self.told.elapsed().as_secs_f64();
            let (at, of) = (self.begun.elapsed().as_secs(), self.plan.length.as_secs());
            let struck = self.faults.iter().filter(|fault| fault.evidence > 0).count();
            println!("{at:>5} of {of} s  {done:>7} done, {rate:>6.1}/s  {struck} faults  {label}");
            (self.told, self.told_done) = (Instant::now(), done);
        }
        Ok(())
    }

    /// Undoes everything and waits until the cluster is whole, and no proposal of a client can be on its way.
    fn come_back(&mut self) -> Result<Duration> {
        let quiet = Instant::now() + CLIENT_SILENCE;
        self.world.heal()?;
        let nodes: Vec<_> = (0..self.world.size()).collect();
        let whole = self.world.wait_whole(&nodes)?;
        while Instant::now() < quiet {
            self.check_stop()?;
            thread::park_timeout(LOOK_INTERVAL);
        }
        Ok(whole)
    }

    /// Reads everything, all workloads at once.
    fn finish(&mut self) {
        let wrong: Vec<String> = thread::scope(|scope| {
            let finish = |workload: &dyn Workload, mut worker: Worker| workload.finish(&mut worker);
            let threads: Vec<_> = self
                .workloads
                .iter()
                .map(|workload| {
                    let worker = self.worker(workload.as_ref(), self.plan.clients);
                    (workload.name(), scope.spawn(move || finish(workload.as_ref(), worker)))
                })
                .collect();
            let ended = threads.into_iter().map(|(name, thread)| (name, thread.join()));
            ended
                .filter_map(|(name, ended)| match ended {
                    Ok(Ok(())) => None,
                    Ok(Err(error)) => Some(format!("{name}: {error:#}")),
                    Err(_) => Some(format!("{name}: its last reads panicked")),
                })
                .collect()
        });
        self.wrong.extend(wrong);
    }

    fn judge(mut self, whole_ms: Option<u64>) -> Result<Report> {
        let (store, entries) = (self.world.store().to_owned(), self.recorder.entries());
        let mut file = BufWriter::new(File::create(store.join("history.edn"))?);
        write(&entries, &mut file)?;
        file.flush()?;
        for node in 0..self.world.size() {
            let log = fs::read_to_string(store.join(format!("n{}.log", node + 1))).unwrap_or_default();
            let panics = log.lines().filter(|line| line.contains("panicked")).take(3);
            self.wrong.extend(panics.map(|line| format!("n{}: {line}", node + 1)));
        }
        let workloads = &self.workloads;
        let verdicts: BTreeMap<_, _> = workloads
            .iter()
            .map(|workload| (workload.name(), workload.check(&operations(&entries, workload.name()))))
            .collect();
        let minutes = self.plan.length.as_secs_f64() / 60.0;
        let rejected = coverage::check(&self.plan.kinds, &self.faults, &verdicts, minutes);
        let writes = workloads.iter().map(|workload| (workload.name(), workload.writes())).collect();
        let recovery = report::times(&entries, &self.faults, &writes, self.world.size());
        let circumstances = format!(
            "{} nodes, {minutes:.1} minutes, seed {}, {} clients per workload",
            self.world.size(),
            self.plan.seed,
            self.plan.clients
        );
        let (command, faults) = (self.plan.command.clone(), self.faults.clone());
        let report = Report {
            command,
            circumstances,
            verdicts,
            cluster: self.wrong.clone(),
            rejected,
            faults,
            recovery,
            whole_ms,
        };
        fs::write(store.join("report.html"), report.page(&entries))?;
        fs::write(store.join("report.txt"), report.text())?;
        Ok(report)
    }
}
