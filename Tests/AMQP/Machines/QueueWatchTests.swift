import NIOCore
import Testing

@testable import AMQP

@Suite struct QueueWatchTests {
    static func time(_ seconds: Double) -> NIODeadline { .uptimeNanoseconds(UInt64(seconds * 1e9) + 1) }
    static let fast = Duration.milliseconds(1)

    @Test func onlyAQuietConsumerLooks() {
        var watch = QueueWatch(startedAt: Self.time(0))
        #expect(!watch.isLookDue(at: Self.time(1.9)))
        #expect(watch.isLookDue(at: Self.time(2)))
        watch.delivered(at: Self.time(2))
        #expect(!watch.isLookDue(at: Self.time(3.9)))
    }

    @Test func aConsumerThatTheQueueForgotBeginsAnewAfterTwoLooks() {
        var watch = QueueWatch(startedAt: Self.time(0))
        let forgotten = QueueWatch.Look(ready: 0, consumers: 0, answeredIn: Self.fast)
        #expect(watch.looked(forgotten, hasRoom: true, at: Self.time(2)) == .fine)
        #expect(watch.looked(forgotten, hasRoom: true, at: Self.time(4)) == .restart)
    }

    @Test func aConsumerThatIsPassedOverBeginsAnewUnlessItsHandsAreFull() {
        let waiting = QueueWatch.Look(ready: 5, consumers: 1, answeredIn: Self.fast)
        for hasRoom in [true, false] {
            var watch = QueueWatch(startedAt: Self.time(0))
            _ = watch.looked(waiting, hasRoom: hasRoom, at: Self.time(2))
            #expect(watch.looked(waiting, hasRoom: hasRoom, at: Self.time(4)) == (hasRoom ? .restart : .fine))
        }
    }

    @Test func aLateZeroProvesNothing() {
        var watch = QueueWatch(startedAt: Self.time(0))
        let late = QueueWatch.Look(ready: 0, consumers: 0, answeredIn: .milliseconds(250))
        for second in 1...10 { #expect(watch.looked(late, hasRoom: true, at: Self.time(Double(second))) == .fine) }
    }

    @Test func aDeliveryEndsASuspicion() {
        var watch = QueueWatch(startedAt: Self.time(0))
        let forgotten = QueueWatch.Look(ready: 0, consumers: 0, answeredIn: Self.fast)
        _ = watch.looked(forgotten, hasRoom: true, at: Self.time(2))
        watch.delivered(at: Self.time(3))
        #expect(watch.looked(forgotten, hasRoom: true, at: Self.time(5)) == .fine)
    }

    @Test func besideOthersAQuietConsumerBeginsAnewNowAndThen() {
        var watch = QueueWatch(startedAt: Self.time(0))
        let others = QueueWatch.Look(ready: 0, consumers: 3, answeredIn: Self.fast)
        #expect(watch.looked(others, hasRoom: true, at: Self.time(59)) == .fine)
        // Its hands are full: a new beginning would bring as many again.
        #expect(watch.looked(others, hasRoom: false, at: Self.time(60.5)) == .fine)
        #expect(watch.looked(others, hasRoom: true, at: Self.time(61)) == .restart)
    }
}
