import NIOCore
import Testing

@testable import AMQP

/// Every event in every state: each has an answer and none traps (vapor/postgres-nio#347).
@Suite struct MachineTests {
    static let methods: [InboundMethod] = [
        .connectionStart(mechanisms: "AMQPLAIN PLAIN"), .connectionStart(mechanisms: "EXTERNAL"),
        .connectionTune(channelMax: 0, frameMax: 0, heartbeat: 0),
        .connectionTune(channelMax: 5, frameMax: 4096, heartbeat: 2),
        .connectionTune(channelMax: 5, frameMax: 8, heartbeat: 2), .connectionOpenOK,
        .connectionClose(.init(code: 403, text: "ACCESS_REFUSED")), .connectionCloseOK,
        .connectionBlocked(reason: "memory"), .connectionUnblocked, .channelOpenOK, .channelFlow(active: false),
        .channelClose(.init(code: 404, text: "NOT_FOUND")), .channelCloseOK, .exchangeDeclareOK,
        .queueDeclareOK(messages: 1, consumers: 1), .queueBindOK, .basicQosOK, .basicConsumeOK(consumer: "c"),
        .basicCancel(consumer: "c"), .basicCancelOK(consumer: "c"),
        .basicReturn(code: 312, text: "NO_ROUTE", exchange: "e", routingKey: "k"),
        .basicDeliver(consumer: "c", tag: 1, redelivered: false, exchange: "e", routingKey: "k"),
        .basicAck(tag: 0, multiple: true), .basicAck(tag: .max, multiple: false),
        .basicNack(tag: 1, multiple: true), .confirmSelectOK,
    ]

    static let wish = ConnectionMachine.Agreement(channelMax: 31, frameMax: 131_072, heartbeat: 5)

    static func machine(in state: ConnectionMachine.State) -> ConnectionMachine {
        var machine = ConnectionMachine(wish: wish)
        if state == .awaitingStart { return machine }
        _ = machine.received(.connectionStart(mechanisms: "PLAIN"))
        if state == .awaitingTune { return machine }
        _ = machine.received(.connectionTune(channelMax: 2047, frameMax: 131_072, heartbeat: 60))
        if state == .awaitingOpen { return machine }
        _ = machine.received(.connectionOpenOK)
        if state == .open { return machine }
        if state == .closing { _ = machine.requestClose() } else { machine.ended() }
        return machine
    }

    @Test(arguments: ConnectionMachine.State.allCases)
    func aConnectionAnswersEveryMethodInEveryState(state: ConnectionMachine.State) {
        for method in Self.methods {
            var machine = Self.machine(in: state)
            #expect(machine.state == state)
            let action = machine.received(method)
            switch (state, method) {
            case (.closed, _): #expect(action == .none)
            case (_, .connectionClose):
                guard case .sendCloseOKAndEnd(let error) = action else {
                    Issue.record("\(method) in \(state): \(action)")
                    continue
                }
                let isOpen = state == .open || state == .closing
                #expect(error.kind == (isOpen ? .connectionClosedByPeer(code: 403) : .accessRefused))
            case (.awaitingStart, .connectionStart(mechanisms: "AMQPLAIN PLAIN")): #expect(action == .sendStartOK)
            case (.awaitingTune, .connectionTune(_, let frameMax, _)) where frameMax != 8:
                guard case .sendTuneOKAndOpen(let agreement) = action else {
                    Issue.record("\(method) in \(state): \(action)")
                    continue
                }
                #expect(agreement.frameMax == (frameMax == 0 ? 131_072 : 4096))
                #expect(agreement.heartbeat == (frameMax == 0 ? 5 : 2))
                #expect(agreement.channelMax == (frameMax == 0 ? 31 : 5))
            case (.awaitingOpen, .connectionOpenOK): #expect(action == .opened)
            case (.open, .connectionBlocked): #expect(action == .blocked(reason: "memory"))
            case (.open, .connectionUnblocked): #expect(action == .unblocked)
            case (.closing, .connectionCloseOK):
                #expect(action == .end(AMQPError(.connectionLost, "closed by this side")))
            case (.closing, _): #expect(action == .none)
            default:
                guard case .end = action else {
                    Issue.record("\(method) in \(state): \(action)")
                    continue
                }
                #expect(machine.state == .closed)
            }
        }
    }

    static let frames: [InboundFrame] =
        methods.map { .method($0) } + [
            .heartbeat, .header(bodySize: 0, properties: MessageProperties()),
            .header(bodySize: 3, properties: MessageProperties()),
            .header(bodySize: .max, properties: MessageProperties()), .body(ByteBuffer()),
            .body(ByteBuffer(bytes: [1, 2, 3])), .body(ByteBuffer(bytes: Array(repeating: 1, count: 9))),
        ]

    static func channel(in state: ChannelMachine.State, expecting: MethodID? = nil) -> ChannelMachine {
        var machine = ChannelMachine()
        if state == .opening { return machine }
        _ = machine.received(.method(.channelOpenOK))
        if let expecting { machine.asked(expecting) }
        if state == .closing { _ = machine.requestClose() }
        if state == .closed { _ = machine.received(.method(.channelClose(.init(code: 404, text: "")))) }
        return machine
    }

    @Test(arguments: ChannelMachine.State.allCases)
    func aChannelAnswersEveryFrameAndEveryPairOfFramesInEveryState(state: ChannelMachine.State) {
        for first in Self.frames {
            for second in Self.frames {
                var machine = Self.channel(in: state, expecting: .basicCancelOK)
                #expect(machine.state == state)
                let actions = [machine.received(first), machine.received(second)]
                switch state {
                case .closed: #expect(actions == [.none, .none])
                case .closing where first != .method(.channelCloseOK) && second != .method(.channelCloseOK):
                    for action in actions { #expect(action == .none || action == .sendCloseOK) }
                default: break
                }
            }
        }
    }

    @Test("a reply for a cancel is not taken for that of another question (funcmike/rabbitmq-nio#31)")
    func repliesAreMatchedByMethod() {
        var machine = Self.channel(in: .open, expecting: .basicCancelOK)
        #expect(machine.received(.method(.basicCancelOK(consumer: "c"))) == .reply(.basicCancelOK(consumer: "c")))
        machine.asked(.basicQosOK)
        guard case .violation = machine.received(.method(.basicCancelOK(consumer: "c"))) else {
            Issue.record("an answer that nobody asked for was taken")
            return
        }
    }

    @Test("after a close all but its answer is dropped (celery/librabbitmq#97)")
    func deliveriesBehindACloseAreDropped() {
        var machine = Self.channel(in: .open, expecting: .basicQosOK)
        #expect(machine.requestClose() == true)
        #expect(machine.requestClose() == false)
        for frame in Self.frames where frame != .method(.channelCloseOK) {
            let action = machine.received(frame)
            #expect(action == .none || action == .sendCloseOK)
        }
        #expect(machine.received(.method(.channelCloseOK)) == .closed)
        #expect(machine.state == .closed)
    }

    @Test func aBodyMustBeExactlyAsLongAsAnnounced() {
        let deliver = InboundMethod.basicDeliver(
            consumer: "c", tag: 1, redelivered: true, exchange: "e", routingKey: "k")
        var machine = Self.channel(in: .open)
        #expect(machine.received(.method(deliver)) == .none)
        #expect(machine.received(.header(bodySize: 4, properties: MessageProperties())) == .none)
        #expect(machine.received(.body(ByteBuffer(bytes: [1, 2, 3]))) == .none)
        guard case .delivery(let delivery) = machine.received(.body(ByteBuffer(bytes: [4]))) else {
            Issue.record("no delivery")
            return
        }
        #expect(delivery.body == [1, 2, 3, 4])
        _ = machine.received(.method(deliver))
        _ = machine.received(.header(bodySize: 2, properties: MessageProperties()))
        guard case .violation = machine.received(.body(ByteBuffer(bytes: [1, 2, 3]))) else {
            Issue.record("too long a body was taken")
            return
        }
    }

    @Test func pausesDoubleUpToTheirBoundAndAreForgivenAfterAGoodWhile() {
        var backoff = Backoff(.milliseconds(100) ... .seconds(1))
        var random = SplitMix(state: 1)
        for bound in [100, 200, 400, 800, 1000, 1000] {
            let pause = backoff.next(using: &random)
            #expect(pause >= .milliseconds(bound) / 2 && pause <= .milliseconds(bound))
        }
        #expect(backoff.next(after: .seconds(2), using: &random) <= .milliseconds(100))
    }
}
