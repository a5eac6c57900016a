public import Model

/// What earlier syncs have shown of a phone's clock.
public struct PhoneClock: Hashable, Sendable {
    /// Server's minus phone's clock at the last of them.
    public var offset: Duration
    /// By the server's clock: from this sync on each agreed with the one before.
    public var stableSince: Timestamp

    public init(offset: Duration, stableSince: Timestamp) {
        self.offset = offset
        self.stableSince = stableSince
    }
}

/// Which time of an observation counts: the one that the phone noted, or the one at which the server heard of it.
/// A phone's clock never decides which write wins; it may only date what has been accepted.
public enum ObservedTime {
    public static let ruleVersion = 2
    /// The offsets of this sync and the previous one must agree within this.
    public static let agreement: Duration = .seconds(120)

    public enum Counted: String, Codable, Sendable, CaseIterable {
        case observed, received
    }

    public struct Decision: Hashable, Sendable {
        public var at: Timestamp
        public var counted: Counted
        public var reason: Reason

        public init(at: Timestamp, counted: Counted, reason: Reason) {
            self.at = at
            self.counted = counted
            self.reason = reason
        }
    }

    /// - Parameters:
    ///   - observedAt: by the phone's clock; nil if it told none.
    ///   - offset: server's minus phone's clock at this sync; nil if the phone did not send its clock.
    ///   - previous: what this phone's syncs before have shown; nil at its first.
    ///   - lastServerStepAt: the last step of the order or shift that the server made or accepted; nil if there is none.
    public static func decide(
        observedAt: Timestamp?, receivedAt: Timestamp, offset: Duration?, previous: PhoneClock?,
        lastServerStepAt: Timestamp?
    ) -> Decision {
        func received(_ reason: Reason) -> Decision { Decision(at: receivedAt, counted: .received, reason: reason) }
        guard let observedAt else {
            return received(
                Reason("no_observed_time", zh: "未报送观测时间，以接收时间为准", en: "No time was told; reception counts."))
        }
        guard let offset else {
            return received(
                Reason("no_device_clock", zh: "手机未报送时钟，以接收时间为准", en: "The phone sent no clock; reception counts."))
        }
        guard let previous else {
            return received(
                Reason(
                    "first_sync", zh: "该手机首次同步，时钟无从比对，以接收时间为准",
                    en: "The first sync of this phone: its clock cannot be compared yet; reception counts."))
        }
        let drift = offset - previous.offset
        guard drift <= agreement, drift >= .zero - agreement else {
            return received(
                Reason(
                    "clock_was_changed", zh: "两次同步的时钟偏差超过 2 分钟，以接收时间为准",
                    en: "The phone's clock moved more than 2 minutes between two syncs; reception counts."))
        }
        let corrected = observedAt + offset
        guard corrected <= receivedAt else {
            return received(
                Reason("in_the_future", zh: "观测时间晚于接收时间，以接收时间为准", en: "Later than its reception; reception counts."))
        }
        if let lastServerStepAt, corrected < lastServerStepAt {
            return received(
                Reason(
                    "before_last_step", zh: "早于服务端已知的上一步骤，以接收时间为准",
                    en: "Before the last step that the server knows; reception counts."))
        }
        // The clock may have been set right only then: of another batch, or a position, seconds ago.
        guard corrected >= previous.stableSince else {
            return received(
                Reason(
                    "clock_was_unknown", zh: "早于该手机时钟可比对之时，以接收时间为准",
                    en: "From before the phone's clock could be compared; reception counts."))
        }
        return Decision(
            at: corrected, counted: .observed,
            reason: Reason("clock_agrees", zh: "手机时钟可信，以现场时间为准", en: "The phone's clock agrees; its time counts."))
    }
}
