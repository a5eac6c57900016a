import NIOPosix
import Testing

@testable import AMQP

@Suite struct DeliveryBufferTests {
    @Test("a wait ends in its time, however short that is", .timeLimit(.minutes(1)))
    func shortWaitsEnd() async {
        let buffer = DeliveryBuffer()
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        for time in [Duration.zero, .nanoseconds(1), .microseconds(20)] {
            for _ in 0..<2_000 { #expect(await buffer.next(1, within: time, on: loop).isEmpty) }
        }
    }

    @Test("waits with and without time, and those that are cancelled, end with the line", .timeLimit(.minutes(1)))
    func theEndOfTheLineEndsAllWaits() async {
        let buffer = DeliveryBuffer()
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        await withTaskGroup(of: Bool.self) { group in
            for time in [nil, Duration.seconds(3_600)] {
                group.addTask { await buffer.next(1, within: time, on: loop).isEmpty }
            }
            let cancelled = Task { await buffer.next(1, within: nil, on: loop).isEmpty }
            cancelled.cancel()
            #expect(await cancelled.value)
            _ = buffer.finish()
            for await isEmpty in group { #expect(isEmpty) }
        }
        #expect(buffer.isFinished)
        #expect(await buffer.next(1, within: nil, on: loop).isEmpty)
    }
}
