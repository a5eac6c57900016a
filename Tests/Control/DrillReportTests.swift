import Model
import Testing

@testable import ControlCommands

@Suite("The verdict of a drill")
struct DrillReportTests {
    /// Forty reports in seven cases, all accounted for, unless something is changed about it.
    private func report(_ change: (inout DrillReport) -> Void = { _ in }) -> DrillReport {
        var report = DrillReport(
            script: "a storm", notes: [], speed: 600, posting: 4, settling: 6, reportsIn: 40, emergencies: 5,
            refused: 0, refusals: [:], cases: 7, emergencyCases: 3, merged: 33, rejected: 0, crews: 6,
            ordersAccepted: 7, ordersDone: 3, notices: 9, acknowledged: 9, emergenciesWaiting: 0,
            emergenciesPassedOver: 0, emergenciesUntold: 0, receipt: nil, emergencyToClaim: nil,
            emergencyToNotice: nil, routineToClaim: nil, routineToNotice: nil, peopleRefused: [:],
            balance: Balance(reports: ReportBalance(), hops: []))
        change(&report)
        return report
    }

    @Test("is clean when all is in, decided and balanced")
    func clean() {
        #expect(report().isClean)
        #expect(!report().text.contains("still waiting"))
    }

    @Test("is clean while emergencies wait for a crew that is not to be had, and says so")
    func noCrew() {
        let report = report { $0.emergenciesWaiting = 2 }
        #expect(report.isClean)
        #expect(report.text.contains("still waiting"))
        #expect(report.text.contains("2 emergencies"))
    }

    @Test("is not clean when an emergency was passed over or nobody was told of it")
    func waiting() {
        let passedOver = report {
            $0.emergenciesWaiting = 2
            $0.emergenciesPassedOver = 1
        }
        #expect(!passedOver.isClean)
        #expect(passedOver.text.contains("1 passed over"))
        let untold = report {
            $0.emergenciesWaiting = 1
            $0.emergenciesUntold = 1
        }
        #expect(!untold.isClean)
        #expect(untold.text.contains("1 told to nobody"))
    }

    @Test("is not clean when a report was refused or is nowhere, or an event is missing")
    func lost() {
        #expect(!report { $0.refused = 1 }.isClean)
        #expect(!report { $0.balance.reports.missing = 1 }.isClean)
        let hop = Balance.Hop(
            publisher: .dispatch, examined: 1, inOutbox: 0, arrived: 0, missing: ["x"], announcedAgain: 0)
        #expect(!report { $0.balance.hops = [hop] }.isClean)
    }
}
