import NIOCore
import Testing

@testable import AMQP

@Suite struct ConfirmLedgerTests {
    static func ledger(_ ids: [String]) -> ConfirmLedger<String> {
        var ledger = ConfirmLedger<String>()
        for (index, id) in ids.enumerated() {
            ledger.sent(
                .init(
                    waiter: id, submission: UInt64(index + 1), messageID: id, exchange: "e", routingKey: "k", bytes: 10,
                    deadline: .uptimeNanoseconds(UInt64(index + 1)),
                    confirmBy: .uptimeNanoseconds(UInt64(index + 1))))
        }
        return ledger
    }

    static func names(_ settled: [(String, PublishOutcome)]) -> [String] { settled.map(\.0) }

    @Test func confirmsSettleOneOrAllUpToOne() {
        var ledger = Self.ledger(["a", "b", "c", "d"])
        #expect(Self.names(ledger.settle(tag: 2, multiple: false, positive: true)) == ["b"])
        #expect(ledger.count == 3)
        #expect(Self.names(ledger.settle(tag: 3, multiple: true, positive: true)) == ["a", "c"])
        #expect(Self.names(ledger.settle(tag: 0, multiple: true, positive: true)) == ["d"])
        #expect(ledger.count == 0)
        #expect(ledger.bytes == 0)
    }

    @Test func numbersThatWereNeverGivenOrAreSettledAreNobodys() {
        var ledger = Self.ledger(["a", "b"])
        for tag in [0, 3, .max - 1, .max] as [UInt64] {
            #expect(ledger.settle(tag: tag, multiple: false, positive: true).count == 0)
            if tag > 0 { #expect(ledger.settle(tag: tag, multiple: true, positive: true).count == 0) }
        }
        #expect(Self.names(ledger.settle(tag: 1, multiple: false, positive: true)) == ["a"])
        #expect(ledger.settle(tag: 1, multiple: false, positive: true).count == 0)
        #expect(ledger.settle(tag: 1, multiple: true, positive: true).count == 0)
        var empty = ConfirmLedger<String>()
        #expect(empty.settle(tag: 0, multiple: true, positive: true).count == 0)
    }

    @Test("a return turns the acknowledgement that follows into a refusal (SpinGo/op-rabbit#83)")
    func returnsAreMatchedByMessageID() {
        var ledger = Self.ledger(["a", "b", "c"])
        #expect(ledger.returned(messageID: "b", exchange: "e", routingKey: "k", reason: "no route") == true)
        #expect(ledger.returned(messageID: "b", exchange: "e", routingKey: "k", reason: "again") == false)
        #expect(ledger.returned(messageID: "a", exchange: "other", routingKey: "k", reason: "no route") == false)
        let settled = ledger.settle(tag: 3, multiple: true, positive: true)
        #expect(Self.names(settled) == ["a", "b", "c"])
        #expect(settled.map(\.1) == [.confirmed, .refused(reason: "no route"), .confirmed])
    }

    @Test func twoSendsOfOneMessageAreReturnedOneByOne() {
        var ledger = Self.ledger(["a", "a"])
        #expect(ledger.returned(messageID: "a", exchange: "e", routingKey: "k", reason: "1") == true)
        #expect(ledger.returned(messageID: "a", exchange: "e", routingKey: "k", reason: "2") == true)
        #expect(
            ledger.settle(tag: 2, multiple: true, positive: true).map(\.1)
                == [.refused(reason: "1"), .refused(reason: "2")])
    }

    @Test func eachWaiterHearsExactlyOneOutcome() {
        var ledger = Self.ledger(["a", "b", "c", "d"])
        #expect(ledger.expire(at: .uptimeNanoseconds(2)).waiters == ["a", "b"])
        #expect(ledger.expire(at: .uptimeNanoseconds(2)).isAny == false)
        #expect(ledger.abandon(submission: 3) == "c")
        #expect(ledger.abandon(submission: 3) == nil)
        #expect(ledger.count == 4, "their numbers stay until the broker speaks")
        #expect(Self.names(ledger.settle(tag: 3, multiple: true, positive: false)) == [])
        #expect(ledger.failAll() == ["d"])
        #expect(ledger.failAll() == [])
    }

    @Test func aPublishThatWasAbandonedBecomesOverdueLikeAnyOther() {
        var ledger = Self.ledger(["a"])
        #expect(ledger.abandon(submission: 1) == "a")
        #expect(ledger.expire(at: .uptimeNanoseconds(0)).isAny == false)
        let expired = ledger.expire(at: .uptimeNanoseconds(2))
        #expect(expired.isAny && expired.waiters == [])
        #expect(ledger.expire(at: .uptimeNanoseconds(3)).isAny == false)
    }

    @Test func aWaiterWhoStoodInLineForLongIsNotTheBrokersFault() {
        var ledger = ConfirmLedger<String>()
        ledger.sent(
            .init(
                waiter: "a", submission: 1, messageID: "a", exchange: "e", routingKey: "k", bytes: 10,
                deadline: .uptimeNanoseconds(2), confirmBy: .uptimeNanoseconds(5)))
        let impatient = ledger.expire(at: .uptimeNanoseconds(2))
        #expect(impatient.waiters == ["a"] && !impatient.isAny)
        #expect(ledger.expire(at: .uptimeNanoseconds(4)).isAny == false)
        let overdue = ledger.expire(at: .uptimeNanoseconds(5))
        #expect(overdue.waiters == [] && overdue.isAny)
        #expect(ledger.expire(at: .uptimeNanoseconds(6)).isAny == false)
    }

    @Test func aNegativeConfirmIsARefusal() {
        var ledger = Self.ledger(["a"])
        guard case .refused = ledger.settle(tag: 1, multiple: false, positive: false).first?.1 else {
            Issue.record("not refused")
            return
        }
    }
}

@Suite struct AckLedgerTests {
    static func ledger(_ count: UInt64) -> AckLedger {
        var ledger = AckLedger()
        for tag in 1...count { ledger.delivered(tag) }
        return ledger
    }

    @Test func oneFrameAcknowledgesARunFromTheFront() {
        var ledger = Self.ledger(5)
        #expect(ledger.acknowledge([2, 1, 3]) == [.init(tag: 3, multiple: true)])
        #expect(ledger.inHand == 2)
        #expect(ledger.acknowledge([5]) == [.init(tag: 5, multiple: false)])
        #expect(ledger.acknowledge([4]) == [.init(tag: 4, multiple: false)])
        #expect(ledger.inHand == 0)
    }

    @Test func whatIsNotOpenIsNeverSettledAgain() {
        var ledger = Self.ledger(3)
        #expect(ledger.acknowledge([2]) == [.init(tag: 2, multiple: false)])
        #expect(ledger.acknowledge([2, 9, 0]) == [])
        #expect(ledger.giveBack(2) == false)
        #expect(ledger.giveBack(1) == true)
        #expect(ledger.acknowledge([1]) == [])
        #expect(ledger.acknowledge([3]) == [.init(tag: 3, multiple: false)])
    }

    @Test func aRunNeverCoversWhatWasNotHandedOut() {
        var ledger = Self.ledger(4)
        ledger.drop([2])
        #expect(ledger.inHand == 3)
        #expect(
            ledger.acknowledge([1, 2, 3, 4]) == [
                .init(tag: 1, multiple: false), .init(tag: 3, multiple: false), .init(tag: 4, multiple: false),
            ])
        #expect(ledger.inHand == 0)
    }

    @Test func anyOrderOfSettlingSettlesEachOnce() {
        for seed in 1...50 as ClosedRange<UInt64> {
            var random = SplitMix(state: seed)
            var ledger = Self.ledger(100)
            var settled: Set<UInt64> = []
            var rest = Array(1...100 as ClosedRange<UInt64>).shuffled(using: &random)
            while !rest.isEmpty {
                let part = Array(rest.prefix(Int.random(in: 1...10, using: &random)))
                rest.removeFirst(part.count)
                for frame in ledger.acknowledge(part) {
                    let covered = frame.multiple ? Set(1...frame.tag).subtracting(settled) : [frame.tag]
                    #expect(covered.isDisjoint(with: settled))
                    settled.formUnion(covered)
                }
                #expect(settled == Set(1...100).subtracting(rest))
            }
        }
    }

    @Test func numbersOutOfOrderAreNotTaken() {
        var ledger = Self.ledger(3)
        ledger.delivered(2)
        ledger.delivered(0)
        #expect(ledger.inHand == 3)
    }
}
