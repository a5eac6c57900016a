public import Model

/// Which time of an observation counts: the one that the phone noted, or the one at which the server heard of it.
/// A phone's clock never decides which write wins; it may only date what has been accepted.
public enum ObservedTime {
    public static let ruleVersion = 1
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
    ///   - observedAt: by the phone's clock.
    ///   - offset: server's minus phone's clock at this sync; nil if the phone did not send its clock.
    ///   - previousOffset: the same at the previous sync of this phone; nil at its first.
    ///   - lastServerStepAt: the order's last step that the server made or accepted.
    public static func decide(
        observedAt: Timestamp, receivedAt: Timestamp, offset: Duration?, previousOffset: Duration?,
        lastServerStepAt: Timestamp
    ) -> Decision {
        func received(_ reason: Reason) -> Decision { Decision(at: receivedAt, counted: .received, reason: reason) }
        guard let offset else {
            return received(
                Reason("no_device_clock", zh: "手机未报送时钟，以接收时间为准", en: "The phone sent no clock; reception counts."))
        }
        guard let previousOffset else {
            return received(
                Reason(
                    "first_sync", zh: "该手机首次同步，时钟无从比对，以接收时间为准",
                    en: "The first sync of this phone: its clock cannot be compared yet; reception counts."))
        }
        let drift = offset - previousOffset
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
        guard corrected >= lastServerStepAt else {
            return received(
                Reason(
                    "before_last_step", zh: "早于工单的上一服务端步骤，以接收时间为准",
                    en: "Before the order's last step on the server; reception counts."))
        }
        return Decision(
            at: corrected, counted: .observed,
            reason: Reason("clock_agrees", zh: "手机时钟可信，以现场时间为准", en: "The phone's clock agrees; its time counts."))
    }
}
