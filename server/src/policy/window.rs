//! The weekly window. The rules of the clock: [`crate::policy`].

use std::sync::LazyLock;

use jiff::civil::{Date, Time};
use jiff::tz::{TimeZone, TimeZoneDatabase};
use jiff::{Span, Timestamp};
use sikkerkey_protocol::kubernetes::WindowState;
use sikkerkey_protocol::policy::{Day, PolicyDocument};

use crate::model::millis::Millis;

pub(super) const MINUTES_OF_DAY: u16 = 24 * 60;

/// How the window of a policy stands, and when that changes. Ended when the policy's last day is past; of its last read
/// this knows nothing.
pub fn window_state(document: &PolicyDocument, now: Millis) -> Result<(WindowState, Option<Millis>), String> {
    let end = document.ttl.as_ref().and_then(|it| it.expires_at).map(Millis);
    if end.is_some_and(|end| end <= now) {
        return Ok((WindowState::Ended, None));
    }
    let (state, change) = match Window::of(document)? {
        None => (WindowState::Always, None),
        Some(window) if window.is_open(now) => (WindowState::Open, window.next_change(now)),
        Some(window) => (WindowState::Closed, window.next_change(now)),
    };
    Ok((state, [change, end].into_iter().flatten().min()))
}

/// A weekly window, parsed.
pub(super) struct Window {
    /// By days since Monday.
    days: [bool; 7],
    /// Minutes since midnight.
    start: u16,
    /// Minutes since midnight, at most [`MINUTES_OF_DAY`]; below `start`: on the next day.
    end: u16,
    zone: TimeZone,
    zone_name: String,
}

impl Window {
    /// The window of a policy, if it has one. The error says what is wrong.
    pub(super) fn of(document: &PolicyDocument) -> Result<Option<Self>, String> {
        let Some(window) = &document.time_window else { return Ok(None) };
        let start = minutes(&window.start).filter(|it| *it < MINUTES_OF_DAY);
        let start = start.ok_or_else(|| format!("timeWindow.start {} is not a time such as 06:00", window.start))?;
        let end = minutes(&window.end)
            .ok_or_else(|| format!("timeWindow.end {} is not a time such as 18:30 or 24:00", window.end))?;
        if start == end {
            return Err("timeWindow: start and end are the same: a whole day is 00:00 to 24:00".to_owned());
        }
        if window.days.is_empty() {
            return Err("timeWindow.days is empty: name at least one day".to_owned());
        }
        let days = [Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri, Day::Sat, Day::Sun];
        Ok(Some(Self {
            days: days.map(|day| window.days.contains(&day)),
            start,
            end,
            zone: time_zone(document)?,
            zone_name: document.time_zone.clone().unwrap_or_default(),
        }))
    }

    pub(super) fn is_open(&self, now: Millis) -> bool {
        let Ok(now) = Timestamp::from_millisecond(now.0) else { return false };
        let wall = self.zone.to_datetime(now);
        let minute = u16::try_from(i32::from(wall.hour()) * 60 + i32::from(wall.minute())).unwrap_or_default();
        let today = usize::try_from(wall.date().weekday().to_monday_zero_offset()).unwrap_or_default();
        self.is_open_at(today, minute)
    }

    /// Whether it is open while the clock on the wall shows `minute` of the day that is `today` days after Monday.
    pub(super) fn is_open_at(&self, today: usize, minute: u16) -> bool {
        let starts = |day: usize| self.days.get(day % 7).copied().unwrap_or(false);
        if self.start < self.end {
            starts(today) && (self.start..self.end).contains(&minute)
        } else {
            (starts(today) && minute >= self.start) || (starts(today + 6) && minute < self.end)
        }
    }

    /// The first instant after `now` at which the window stands otherwise. None: it never does.
    pub(super) fn next_change(&self, now: Millis) -> Option<Millis> {
        let open = self.is_open(now);
        let from = Timestamp::from_millisecond(now.0).ok()?;
        let today = self.zone.to_datetime(from).date();
        // Nothing else can change the answer: the clock reaches a boundary or a midnight, or is put forward or back. A
        // week and a day of each is enough, but for a window that the clock skips on its one day: hence two weeks.
        let last = from.checked_add(jiff::SignedDuration::from_hours(16 * 24)).ok()?;
        let mut candidates: Vec<Millis> = self
            .zone
            .following(from)
            .map(|it| it.timestamp())
            .take_while(|it| *it <= last)
            .map(|it| Millis(it.as_millisecond()))
            .collect();
        for offset in -1..=15 {
            let Ok(date) = today.checked_add(Span::new().days(offset)) else { continue };
            for minute in [0, self.start, self.end % MINUTES_OF_DAY] {
                candidates.extend(instants(&self.zone, date, minute));
            }
        }
        candidates.retain(|it| *it > now);
        candidates.sort_unstable();
        candidates.into_iter().find(|it| self.is_open(*it) != open)
    }

    /// `Mon 06:00 Europe/Oslo`.
    pub(super) fn wall_clock(&self, at: Millis) -> String {
        let Ok(at) = Timestamp::from_millisecond(at.0) else { return self.zone_name.clone() };
        let wall = self.zone.to_datetime(at);
        let names = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
        let day = usize::try_from(wall.date().weekday().to_monday_zero_offset()).ok().and_then(|it| names.get(it));
        format!("{} {:02}:{:02} {}", day.unwrap_or(&""), wall.hour(), wall.minute(), self.zone_name)
    }
}

/// The time zones of the program itself: every server and every admission gives the same answer, whatever its image has.
pub(super) fn zones() -> &'static TimeZoneDatabase {
    static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);
    &ZONES
}

/// The names that a policy may give its time zone, for whoever chooses one.
pub fn zone_names() -> impl Iterator<Item = String> {
    zones().available().map(|it| it.as_str().to_owned()).filter(|it| is_place(it))
}

/// Whether a name stands for a place: some names of the database stand for none.
pub(super) fn is_place(name: &str) -> bool {
    !["Factory", "Etc/Unknown", "localtime"].contains(&name)
}

/// The time zone of a policy. The error says what to give.
pub(super) fn time_zone(document: &PolicyDocument) -> Result<TimeZone, String> {
    let Some(name) = &document.time_zone else {
        return Err("timeWindow and rateCap.perDay need a timeZone, for example Europe/Oslo or UTC".to_owned());
    };
    zones().get(name).map_err(|_| not_a_zone(name))
}

/// What is said of a name that is no zone. A long one is nobody's slip of the finger, and is not repeated whole.
pub(super) fn not_a_zone(name: &str) -> String {
    let name: String = name.chars().take(64).collect();
    format!("timeZone {name} is not a time zone of the IANA database, such as Europe/Oslo or UTC")
}

/// The first instant of the day that lies `days` after the one around `now`.
pub(super) fn start_of_day(zone: &TimeZone, now: Millis, days: i64) -> Result<Millis, String> {
    let outside = || "the instant is outside the calendar".to_owned();
    let now = Timestamp::from_millisecond(now.0).map_err(|_| outside())?;
    let date = zone.to_datetime(now).date().checked_add(Span::new().days(days)).map_err(|_| outside())?;
    // Where midnight is skipped, the day starts when the clock has been put forward; where it comes twice, at the first.
    let start = zone.to_ambiguous_timestamp(date.to_datetime(Time::midnight())).compatible().map_err(|_| outside())?;
    Ok(Millis(start.as_millisecond()))
}

/// RFC 3339 in UTC, to the second.
pub(crate) fn instant(at: Millis) -> String {
    Timestamp::from_second(at.seconds()).map_or_else(|_| format!("{} s", at.seconds()), |it| it.to_string())
}

/// Every instant at which the clock shows `minute` of `date`: one, two where the clock is put back. Where the clock skips
/// it, the answer is of no use and does no harm: the moment the clock is put forward is a candidate of its own.
fn instants(zone: &TimeZone, date: Date, minute: u16) -> impl Iterator<Item = Millis> {
    let (hour, minute) = (minute / 60, minute % 60);
    let time = i8::try_from(hour).ok().zip(i8::try_from(minute).ok());
    let time = time.and_then(|(hour, minute)| Time::new(hour, minute, 0, 0).ok());
    let ambiguous = time.map(|time| zone.to_ambiguous_timestamp(date.to_datetime(time)));
    let both = ambiguous.map(|it| [it.earlier().ok(), it.later().ok()]);
    both.into_iter().flatten().flatten().map(|it| Millis(it.as_millisecond()))
}

/// `HH:MM` as minutes since midnight; `24:00` included.
pub(super) fn minutes(text: &str) -> Option<u16> {
    let (hours, minutes) = text.split_once(':')?;
    let two =
        |part: &str| (part.len() == 2 && part.bytes().all(|b| b.is_ascii_digit())).then(|| part.parse::<u16>().ok());
    let (hours, minutes) = (two(hours)??, two(minutes)??);
    let total = hours * 60 + minutes;
    (minutes < 60 && total <= MINUTES_OF_DAY).then_some(total)
}
