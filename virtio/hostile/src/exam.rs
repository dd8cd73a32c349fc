//! Any driver against any lie: what it makes of it, and whether that is what it owes.
//!
//! A driver is examined through [`DriverUnderTest`], which is all that this crate wants to know of
//! it. The examination is the same for every lie: frames pass, the lie is told, and it is watched
//! what comes out and whether frames pass again.

use std::fmt;
use std::time::{Duration, Instant};

use virtio::Transport;
use virtio::spec::net::feature::VIRTIO_NET_F_HASH_REPORT;
use virtio::transport::in_process::{Frame, Port};

use crate::{Act, Format, Lie, LyingDevice, Outcome, Registers, Role, frames};

/// A driver for virtio-net, as far as an examination needs it. An error is what the driver itself
/// says; whoever uses the driver then has it start anew.
pub trait DriverUnderTest: Sized {
    /// Resets the device behind `transport` and brings it up.
    ///
    /// # Errors
    /// Why the driver will not drive this device.
    fn start(transport: Box<dyn Transport>) -> Result<Self, String>;

    /// Sends an Ethernet frame.
    ///
    /// # Errors
    /// Why it cannot be sent.
    fn send(&mut self, frame: &[u8]) -> Result<(), String>;

    /// The next Ethernet frame that has arrived; does not wait for one.
    ///
    /// # Errors
    /// Why no more frames can be received.
    fn receive(&mut self) -> Result<Option<Vec<u8>>, String>;

    /// Whatever the driver does now and then, such as to look at interrupts that have come. Is
    /// called often.
    ///
    /// # Errors
    /// Why the driver cannot go on.
    fn tend(&mut self) -> Result<(), String> {
        Ok(())
    }

    /// Gives the device a command, if the driver knows any; `None` if not.
    fn command(&mut self) -> Option<Result<(), String>> {
        None
    }

    /// Resets the device and brings it up again.
    ///
    /// # Errors
    /// Why that cannot be done. The driver is not used any more.
    fn restart(self) -> Result<Self, String>;
}

/// What a driver made of a lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// What it said when it refused to start, or to start again.
    pub refused: Option<String>,
    /// What it said otherwise.
    pub errors: Vec<String>,
    /// Frames that it received although nobody sent them so: those of the lie.
    pub passed_on: usize,
    /// How often it reset the device after it had been started.
    pub resets: u32,
    /// Whether frames passed at the end.
    pub passes: bool,
    /// It was given no occasion to notice, because it has no control queue, or no packed ring, or
    /// takes no hashes.
    pub unconcerned: bool,
}

impl Observed {
    /// Whether this is what a sound driver owes to `lie`.
    pub fn is_owed_for(&self, lie: &Lie) -> bool {
        let calm = self.passes && self.resets == 0 && self.refused.is_none();
        // A header that flickers may be caught at an honest moment.
        let may_pass_on = matches!(lie.act, Act::Flicker);
        match lie.outcome {
            Outcome::Drop => calm && (self.passed_on == 0 || may_pass_on),
            Outcome::Ignore | Outcome::Adapt => calm && self.errors.is_empty(),
            Outcome::Break | Outcome::Reset => self.passes && self.resets > 0,
            Outcome::GiveUp => self.resets > 0 && !self.passes,
            Outcome::Refuse | Outcome::Gone => self.refused.is_some(),
            // The command's failure may stay the driver's own affair.
            Outcome::Fail => self.passes,
            Outcome::TimeOut => self.refused.is_some() || self.passes && self.resets > 0,
        }
    }
}

impl fmt::Display for Observed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(reason) = &self.refused {
            return write!(f, "refused: {reason}");
        }
        if self.unconcerned {
            return f.write_str("has not what the lie is about");
        }
        f.write_str(if self.passes {
            "frames pass"
        } else {
            "frames no longer pass"
        })?;
        if self.resets > 0 {
            f.write_str(" after a reset")?;
        }
        if self.passed_on > 0 {
            write!(f, ", {} of the lie's passed on", self.passed_on)?;
        }
        match self.errors.first() {
            Some(error) => write!(f, ", said: {error}"),
            None => Ok(()),
        }
    }
}

/// How often a driver that gives up is started anew in one examination.
const RESTARTS: u32 = 3;
/// Frames each way that prove that frames pass. More than the ring of a small driver.
const EXCHANGES: u8 = 20;
/// How often a frame is sent again that may have been lost with a reset.
const RETRIES: u32 = 8;
/// How long a driver is left alone with a lie before the next frame may cover it up.
const PAUSE: Duration = Duration::from_millis(30);
const POLL_INTERVAL: Duration = Duration::from_micros(200);
/// Frames of lies have tags below this; two examinations of 20 exchanges stay below 256.
const FIRST_TAG: u8 = 100;
/// Short enough that these exchanges go round it, so that drivers take back what they sent.
const TRANSMIT_RING: u16 = 16;

/// Tells `lie` to a driver whose rings are to be of this `format`, and waits at most `patience`
/// for each thing it is to do.
///
/// # Panics
/// When frames do not pass before the lie is told: the driver or its adapter does not work.
pub fn examine<D: DriverUnderTest>(
    lie: &'static Lie,
    format: Format,
    patience: Duration,
) -> Observed {
    let port = Port::default();
    let mut config = format.device();
    config.queue_sizes[1] = TRANSMIT_RING;
    let made = lie.device(config, port.clone());
    let (transport, device) = made.expect("an in-process device needs a few descriptors only");
    let _thread = device.run().expect("a thread");
    let mut exam = Exam {
        lie,
        device,
        port,
        patience,
        driver: None,
        seen: Observed::default(),
        tag: FIRST_TAG,
        told: false,
    };
    match D::start(Box::new(transport)) {
        Ok(driver) => exam.driver = Some(driver),
        Err(reason) => {
            exam.seen.refused = Some(reason);
            return exam.seen;
        }
    }
    let accepted = exam.device.accepted_features();
    let is_packed = accepted.ring().packed;
    let reads_hash = accepted.has(VIRTIO_NET_F_HASH_REPORT) || !is_about_hashes(lie);
    if is_packed == (format == Format::Packed) && reads_hash {
        exam.run();
    } else {
        exam.seen.unconcerned = true;
    }
    exam.seen
}

fn is_about_hashes(lie: &Lie) -> bool {
    match lie.act {
        Act::Frames(frames) => frames().iter().any(|delivery| delivery.hash.is_some()),
        _ => false,
    }
}

/// An examination under way.
struct Exam<D> {
    lie: &'static Lie,
    device: LyingDevice,
    port: Port,
    patience: Duration,
    driver: Option<D>,
    seen: Observed,
    tag: u8,
    told: bool,
}

impl<D: DriverUnderTest> Exam<D> {
    fn run(&mut self) {
        let resets = self.device.resets();
        if !self.lie.is_told_at_birth() {
            let passes = self.passes();
            assert!(
                passes,
                "frames do not pass even without a lie: {:?}",
                self.seen
            );
            self.told = true;
            self.device.tell(self.lie);
            self.provoke();
            self.pause();
        }
        if self.seen.refused.is_none() && !self.seen.unconcerned {
            self.seen.passes = self.passes();
        }
        self.seen.resets = self.device.resets() - resets;
    }

    /// Gives the device an occasion to lie, where frames are none.
    fn provoke(&mut self) {
        match self.lie.act {
            Act::Used(Role::Control, _) | Act::Answer(_) => self.command(),
            Act::Reset(_) | Act::Registers(Registers::ResetNeverEnds | Registers::AllOnes) => {
                self.restart();
            }
            _ => {}
        }
    }

    /// Lets the driver see what the device has done so far.
    fn pause(&mut self) {
        let start = Instant::now();
        self.within_patience(|exam| {
            let received = exam.driver.as_mut()?.receive();
            exam.take_note(&received);
            (start.elapsed() > PAUSE).then_some(())
        });
    }

    fn command(&mut self) {
        match self.driver.as_mut().and_then(D::command) {
            Some(Ok(())) => {}
            Some(Err(error)) => self.seen.errors.push(error),
            None => self.seen.unconcerned = true,
        }
    }

    /// Whether frames come in and go out.
    fn passes(&mut self) -> bool {
        let stalls = matches!(self.lie.act, Act::Stall(Role::Receive)) && self.told;
        (0..EXCHANGES).all(|_| (stalls || self.comes_in()) && self.goes_out())
    }

    fn comes_in(&mut self) -> bool {
        let frame = self.next_frame();
        let mut sent_at = None;
        self.within_patience(|exam| {
            if due(&mut sent_at, exam.patience / RETRIES) {
                exam.port.inject(&Frame::plain(&frame));
            }
            let received = exam.driver.as_mut()?.receive();
            exam.take_note(&received);
            (received.ok()?? == frame).then_some(())
        })
    }

    fn goes_out(&mut self) -> bool {
        let frame = self.next_frame();
        let mut sent_at = None;
        self.within_patience(|exam| {
            if due(&mut sent_at, exam.patience / RETRIES) {
                let sent = exam.driver.as_mut()?.send(&frame);
                exam.heed(sent);
            }
            let received = exam.driver.as_mut()?.receive();
            exam.take_note(&received);
            (exam.port.take_sent()?.payload() == frame).then_some(())
        })
    }

    fn within_patience(&mut self, mut done: impl FnMut(&mut Self) -> Option<()>) -> bool {
        let start = Instant::now();
        while start.elapsed() < self.patience {
            let tended = self.driver.as_mut().map_or(Ok(()), D::tend);
            self.heed(tended);
            if self.driver.is_none() {
                return false;
            }
            let before = self.seen.passed_on;
            if done(self).is_some() {
                return true;
            }
            if self.seen.passed_on == before {
                std::thread::sleep(POLL_INTERVAL);
            }
        }
        false
    }

    /// Counts what the lie has put among the received frames.
    fn take_note(&mut self, received: &Result<Option<Vec<u8>>, String>) {
        match received {
            Ok(Some(frame)) if !self.is_ours(frame) => self.seen.passed_on += 1,
            Ok(_) => {}
            Err(error) => self.heed(Err(error.clone())),
        }
    }

    fn is_ours(&self, frame: &[u8]) -> bool {
        (FIRST_TAG..=self.tag).any(|tag| frames::arp(tag) == frame)
    }

    /// A driver that says it cannot go on is started anew, a few times.
    fn heed(&mut self, result: Result<(), String>) {
        if let Err(error) = result {
            self.seen.errors.push(error);
            self.restart();
        }
    }

    fn restart(&mut self) {
        let Some(driver) = self.driver.take() else {
            return;
        };
        if self.seen.errors.len() as u32 > RESTARTS {
            return;
        }
        match driver.restart() {
            Ok(driver) => self.driver = Some(driver),
            Err(reason) => self.seen.refused = Some(reason),
        }
    }

    fn next_frame(&mut self) -> Vec<u8> {
        let frame = frames::arp(self.tag + 1);
        self.tag += 1;
        frame
    }
}

/// Whether it is time to try, for the first time or again.
fn due(last: &mut Option<Instant>, after: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() > after);
    if due {
        *last = Some(Instant::now());
    }
    due
}
