//! What goes wrong, when: drawn from the seed while the world runs.

use super::network::{Machine, Weather};
use super::random::Random;
use super::world::World;
use cluster::runtime::{Instant, sleep};
use std::sync::Arc;
use std::time::Duration;

const CALM: Weather = Weather { delay_min_us: 100, delay_max_us: 1_500, loss_percent: 0, twice_percent: 0 };

/// How far a clock may jump, either way.
pub const CLOCK_JUMP_MAX_MS: i64 = 3_600_000;

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
        0..13 => {
            let Some(other) = random.pick(&machines).copied() else { return };
            world.links.cut(machine, other);
            "one-way cut"
        }
        13..26 => {
            isolate(world, machine, &machines);
            "isolation"
        }
        26..39 => {
            world.links.heal();
            "healing"
        }
        39..53 => {
            world.crash(machine);
            back_after(world, machine, Duration::from_millis(random.range(20, 4_000)));
            "crash"
        }
        53..59 => {
            for machine in &machines {
                world.crash(*machine);
                back_after(world, *machine, Duration::from_millis(random.range(20, 1_000)));
            }
            "crash of all"
        }
        59..64 => {
            let pause = Duration::from_millis(random.range(20, 1_000));
            let stopping = world.clone();
            cluster::runtime::spawn(async move {
                stopping.stop(machine).await;
                sleep(pause).await;
                stopping.start(machine);
            });
            "restart"
        }
        64..73 => {
            let weather = Weather {
                delay_min_us: random.range(100, 5_000),
                delay_max_us: random.range(5_000, 120_000),
                loss_percent: random.below(30),
                twice_percent: random.below(20),
            };
            world.links.set_weather(weather);
            "bad weather"
        }
        73..78 => {
            world.links.set_weather(CALM);
            "calm"
        }
        78..87 => {
            // Shorter and longer than others wait before they give a connection up.
            world.pause(machine, Duration::from_millis(random.range(50, 6_000)));
            "pause"
        }
        87..94 => {
            let longest = Duration::from_millis(random.range(5, 700));
            if let Some(host) = world.hosts.lock().get(&machine) {
                host.set_sync_time(longest);
            }
            "slow disk"
        }
        _ => {
            let skew = random.range(0, 2 * CLOCK_JUMP_MAX_MS as u64) as i64 - CLOCK_JUMP_MAX_MS;
            if let Some(host) = world.hosts.lock().get(&machine) {
                host.set_clock(skew);
            }
            "clock jump"
        }
    };
    world.happened(name);
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
