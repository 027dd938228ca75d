//! What goes wrong, when: drawn from the seed while the world runs.

use super::network::{Machine, Weather};
use super::random::Random;
use super::world::World;
use cluster::runtime::{Instant, sleep};
use std::sync::Arc;
use std::time::Duration;

const CALM: Weather = Weather { delay_min_us: 100, delay_max_us: 1_500, loss_percent: 0 };

/// Lets things go wrong for a time, then puts everything right again: all links open, all machines on.
pub async fn run(world: Arc<World>, mut random: Random, length: Duration) {
    let until = Instant::now() + length;
    while Instant::now() < until {
        sleep(Duration::from_millis(random.range(50, 1_200))).await;
        strike(&world, &mut random).await;
    }
    calm(&world);
    *world.healed.lock() = Some(Instant::now());
}

/// Puts everything right.
pub fn calm(world: &World) {
    world.links.set_weather(CALM);
    world.links.heal();
    for machine in world.machines() {
        world.start(machine);
        if let Some(host) = world.hosts.lock().get(&machine) {
            host.set_sync_time(Duration::from_millis(2));
            host.set_clock(0);
        }
    }
}

async fn strike(world: &Arc<World>, random: &mut Random) {
    let machines = world.machines();
    let Some(machine) = random.pick(&machines).copied() else { return };
    let name = match random.below(100) {
        0..15 => {
            let Some(other) = random.pick(&machines).copied() else { return };
            world.links.cut(machine, other);
            "one-way cut"
        }
        15..30 => {
            isolate(world, machine, &machines);
            "isolation"
        }
        30..45 => {
            world.links.heal();
            "healing"
        }
        45..60 => {
            world.crash(machine);
            back_after(world, machine, Duration::from_millis(random.range(20, 4_000)));
            "crash"
        }
        60..65 => {
            for machine in &machines {
                world.crash(*machine);
                back_after(world, *machine, Duration::from_millis(random.range(20, 1_000)));
            }
            "crash of all"
        }
        65..70 => {
            let pause = Duration::from_millis(random.range(20, 1_000));
            let stopping = world.clone();
            cluster::runtime::spawn(async move {
                stopping.stop(machine).await;
                sleep(pause).await;
                stopping.start(machine);
            });
            "restart"
        }
        70..80 => {
            let weather = Weather {
                delay_min_us: random.range(100, 5_000),
                delay_max_us: random.range(5_000, 120_000),
                loss_percent: random.below(30),
            };
            world.links.set_weather(weather);
            "bad weather"
        }
        80..85 => {
            world.links.set_weather(CALM);
            "calm"
        }
        85..93 => {
            let longest = Duration::from_millis(random.range(5, 700));
            if let Some(host) = world.hosts.lock().get(&machine) {
                host.set_sync_time(longest);
            }
            "slow disk"
        }
        _ => {
            let skew = random.range(0, 7_200_000) as i64 - 3_600_000;
            if let Some(host) = world.hosts.lock().get(&machine) {
                host.set_clock(skew);
            }
            "clock jump"
        }
    };
    *world.book.lock().faults.entry(name).or_default() += 1;
    super::executor::current().note(name);
}

fn isolate(world: &World, machine: Machine, machines: &[Machine]) {
    for other in machines.iter().filter(|other| **other != machine) {
        world.links.cut(machine, *other);
        world.links.cut(*other, machine);
    }
}

fn back_after(world: &Arc<World>, machine: Machine, pause: Duration) {
    let world = world.clone();
    cluster::runtime::spawn(async move {
        sleep(pause).await;
        world.start(machine);
    });
}
