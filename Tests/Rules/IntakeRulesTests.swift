import Model
import Rules
import Testing

@Suite("Tracking codes")
struct TrackingCodeTests {
    private static func code(_ seed: UInt8) -> TrackingCode {
        TrackingCode(randomBytes: (0..<9).map { UInt8(truncatingIfNeeded: Int(seed) &* 31 &+ $0 &* 57) })
    }

    @Test("read back whatever way a person types them")
    func typing() throws {
        let code = Self.code(3)
        let text = code.description
        #expect(text.count == 17)
        for typed in [text, text.lowercased(), text.filter { $0 != "-" }, text.replacing("-", with: " ")] {
            #expect(TrackingCode(typed) == code)
        }
        let lookalikes = text.replacing("0", with: "O").replacing("1", with: "l")
        #expect(TrackingCode(lookalikes) == code)
    }

    @Test("every wrong character and every swap of two different ones is noticed")
    func slips() {
        let alphabet = Array("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
        for seed in 0..<40 as Range<UInt8> {
            let characters = Array(Self.code(seed).description.filter { $0 != "-" })
            for position in characters.indices {
                for wrong in alphabet where wrong != characters[position] {
                    var slip = characters
                    slip[position] = wrong
                    #expect(TrackingCode(String(slip)) == nil)
                }
            }
            for position in 0..<(characters.count - 2) where characters[position] != characters[position + 1] {
                var swapped = characters
                swapped.swapAt(position, position + 1)
                #expect(TrackingCode(String(swapped)) == nil)
            }
        }
    }

    @Test(
        "what is no code", arguments: ["", "-", "ABC", "UUUU-UUUU-UUUU-UU", "😀", String(repeating: "0", count: 1_000)])
    func nonsense(text: String) { #expect(TrackingCode(text) == nil) }

    @Test("all random bits are used: one changed bit changes the code")
    func bits() {
        let zero = [UInt8](repeating: 0, count: 9)
        for bit in 0..<65 {
            var bytes = zero
            bytes[bit / 8] = 0x80 >> UInt8(bit % 8)
            #expect(TrackingCode(randomBytes: bytes) != TrackingCode(randomBytes: zero))
        }
    }
}

@Suite("Senders' budgets")
struct SenderBudgetTests {
    private let budget = SenderBudget()

    @Test("within the budget verified, over it not, without a device never")
    func verdicts() {
        #expect(budget.verdict(deviceLevel: 1, prefixLevel: 1) == .withinBudget)
        #expect(budget.verdict(deviceLevel: 3, prefixLevel: nil) == .withinBudget)
        #expect(budget.verdict(deviceLevel: 3.5, prefixLevel: 1) == .deviceOverBudget)
        #expect(budget.verdict(deviceLevel: 1, prefixLevel: 61) == .prefixOverBudget)
        #expect(budget.verdict(deviceLevel: nil, prefixLevel: 1) == .noDevice)
    }

    @Test("every verdict says why in both languages", arguments: SenderBudget.Verdict.all)
    func reasons(verdict: SenderBudget.Verdict) {
        #expect(verdict.reason.code == verdict.rawValue)
        #expect(!verdict.reason.zh.isEmpty && !verdict.reason.en.isEmpty)
    }

    @Test(
        "neighbours share a prefix; the machine itself has none",
        arguments: [
            ("203.0.113.7", "203.0.113.0/24"), ("203.0.113.200", "203.0.113.0/24"), ("127.0.0.1", nil), ("::1", nil),
            ("2001:db8:12:ffff::9", "2001:db8:12::/48"), ("2001:db8:12::1", "2001:db8:12::/48"),
            ("::ffff:203.0.113.9", "203.0.113.0/24"), ("::ffff:127.0.0.1", nil), ("", nil), ("1.2.3", nil),
            ("1.2.3.4.5", nil), ("300.1.1.1", nil), ("nonsense", nil), (":::", nil), ("1:2:3:4:5:6:7:8:9", nil),
        ] as [(String, String?)])
    func prefixes(address: String, prefix: String?) { #expect(AddressPrefix.of(address) == prefix) }
}

extension SenderBudget.Verdict {
    static let all: [Self] = [.signedIn, .withinBudget, .deviceOverBudget, .prefixOverBudget, .noDevice]
}

@Suite("Admission of routine reports")
struct RoutineAdmissionTests {
    private let start = Timestamp(microseconds: 1_000_000_000)

    /// How many of a report each millisecond are taken in the second after `after` seconds.
    private func taken(_ admission: inout RoutineAdmission, share: Double, second: Int) -> Int {
        (0..<1_000).count { step in
            admission.decide(share: share, now: start + .milliseconds(second * 1_000 + step)) == .admitted
        }
    }

    @Test("the rate follows the share, down to the floor and back")
    func rates() {
        var admission = RoutineAdmission(maximum: 500, floor: 50)
        #expect(admission.rate(share: 1) == 500 && admission.rate(share: 0) == 50 && admission.rate(share: 0.5) == 275)
        _ = taken(&admission, share: 1, second: 0)
        #expect((499...501).contains(taken(&admission, share: 1, second: 1)))
        #expect((49...51).contains(taken(&admission, share: 0, second: 2)))
        #expect((49...51).contains(taken(&admission, share: -3, second: 3)))
        #expect((499...501).contains(taken(&admission, share: 9, second: 4)))
    }

    @Test("who is shed is told to wait longer the worse it is")
    func waits() {
        var admission = RoutineAdmission(maximum: 1, floor: 1)
        #expect(admission.decide(share: 1, now: start) == .admitted)
        guard case .shed(let short) = admission.decide(share: 1, now: start),
            case .shed(let long) = admission.decide(share: 0, now: start)
        else {
            Issue.record("the second report at the same moment must wait")
            return
        }
        #expect(short >= 1 && long > short && long <= 60)
    }

    @Test("a clock that was set back takes nothing and gives nothing")
    func clock() {
        var admission = RoutineAdmission(maximum: 10, floor: 1)
        for _ in 0..<10 { _ = admission.decide(share: 1, now: start) }
        #expect(admission.decide(share: 1, now: start - .seconds(3_600)) != .admitted)
        #expect(admission.decide(share: 1, now: start) != .admitted)
    }
}

@Suite("Delays after failed sign-ins")
struct SignInDelayTests {
    @Test("a few slips are free, then the wait doubles up to its bound")
    func growth() {
        let delay = SignInDelay.account
        #expect((0...3).allSatisfy { delay.wait(failures: $0) == .zero })
        #expect(delay.wait(failures: 4) == .seconds(1))
        #expect(delay.wait(failures: 6) == .seconds(4))
        #expect(delay.wait(failures: 60) == .seconds(300))
        #expect(delay.wait(failures: Int(Int32.max)) == .seconds(300))
    }

    @Test("old failures are forgotten")
    func memory() {
        let now = Timestamp(microseconds: 10_000_000_000_000)
        let fresh = SignInDelay.account.afterAttempt(failures: 9, last: now - .seconds(60), now: now)
        #expect(fresh.failures == 10 && fresh.notBefore > now)
        let old = SignInDelay.account.afterAttempt(failures: 9, last: now - .seconds(90_000), now: now)
        #expect(old.failures == 1 && old.notBefore == now)
        let first = SignInDelay.account.afterAttempt(failures: 0, last: nil, now: now)
        #expect(first.failures == 1 && first.notBefore == now)
    }
}
