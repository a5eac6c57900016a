import FoundationEssentials
import Model
import Rules
import ServiceKit

/// What everybody may see who has the code: what is being done, nothing of anybody.
struct PublicReport: Encodable, Sendable {
    struct Step: Encodable, Sendable, Hashable {
        var at: Timestamp
        var fact: String
        var zh: String
        var en: String
    }

    struct PublicCase: Encodable, Sendable {
        var number: String
        var state: CaseState
        var merged: Bool
    }

    var receivedAt: Timestamp
    var observedAt: Timestamp
    var category: ReportReceipt.Name
    var emergency: Bool
    var reason: Reason
    var state: String
    var stateZH: String
    var stateEN: String
    var `case`: PublicCase?
    var photos: Int
    var timeline: [Step]

    private enum CodingKeys: String, CodingKey {
        case category, emergency, reason, state, `case`, photos, timeline
        case receivedAt = "received_at"
        case observedAt = "observed_at"
        case stateZH = "state_zh"
        case stateEN = "state_en"
    }
}

/// Follows a report by its code.
struct TrackReport: Sendable {
    let store: ReportStore
    let cache: CityCache
    let keyring: KeyringLoader

    /// Where a code leads, for its owner's other acts. Throws a `Problem` (404) for any text that leads nowhere.
    func find(_ text: String) async throws -> (report: Report.ID, district: District.ID) {
        // A text that can't be a code is looked up like one, so that the answer takes as long.
        let code = TrackingCode(text)
        let hash = try keyring.get().hash(code?.canonicalBytes ?? [], for: .tracking)
        guard let found = try await store.find(codeHash: hash), code != nil else { throw Self.notFound }
        return found
    }

    func show(_ text: String) async throws -> PublicReport {
        guard let city = cache.city else { throw Problem.unavailable() }
        let code = TrackingCode(text)
        let hash = try keyring.get().hash(code?.canonicalBytes ?? [], for: .tracking)
        let found = try await store.find(codeHash: hash)
        // The same trips for codes that lead nowhere: time tells nobody which exist.
        let nowhere = District.city
        let report = try await store.tracked(
            found?.report ?? Report.ID(nowhere.rawValue), in: found?.district ?? nowhere)
        let (cases, steps) = try await store.timeline(
            report?.caseID ?? Case.ID(nowhere.rawValue), districts: city.districts)
        guard let report else { throw Self.notFound }
        return Self.page(report, cases: cases, steps: steps, category: city.categories[report.category])
    }

    static let notFound = Problem.notFound("A report with this code", zh: "该查询码对应的上报")

    // MARK: - The page

    static func page(
        _ report: TrackedReport, cases: [TrackedReport.CaseState], steps: [TrackedReport.Step],
        category: CityCache.Category?
    ) -> PublicReport {
        var timeline = [step(report.receivedAt, "received")]
        if report.outcome == .rejected, let at = report.decidedAt { timeline.append(step(at, "rejected")) }
        // What happened to the case before this report joined it is nobody's news, but it may explain a quick answer.
        timeline += steps.filter { $0.fact != "received" }.map { step($0.at, $0.fact) }
        // A case's clock begins with its first report, so both may bear the same time: what was first stays first.
        timeline = timeline.enumerated()
            .sorted { ($0.element.at, $0.offset) < ($1.element.at, $1.offset) }
            .map(\.element)
        let present = cases.last
        let state = present?.state.rawValue ?? (report.outcome == .rejected ? "rejected" : "received")
        let words = PublicFact.words(state)
        return PublicReport(
            receivedAt: report.receivedAt, observedAt: report.observedAt,
            category: ReportReceipt.Name(
                code: report.category, nameZH: category?.stored.nameZH ?? report.category,
                nameEN: category?.stored.nameEN ?? report.category),
            emergency: present?.emergency ?? report.emergency, reason: report.reason, state: state,
            stateZH: words.zh, stateEN: words.en,
            case: present.map { .init(number: $0.number, state: $0.state, merged: cases.count > 1) },
            photos: report.photoCount, timeline: timeline)
    }

    private static func step(_ at: Timestamp, _ fact: String) -> PublicReport.Step {
        let words = PublicFact.words(fact)
        return PublicReport.Step(at: at, fact: fact, zh: words.zh, en: words.en)
    }
}

/// The words that a resident reads for what happened. Facts that are not listed are shown as "worked on": a new word of
/// dispatch's does not become a blank page.
enum PublicFact {
    static func words(_ fact: String) -> (zh: String, en: String) {
        switch fact {
        case "received": ("已受理", "Received")
        case "filed", "opened": ("已立案", "Filed as a case")
        case "joined", "linked": ("已并入同一问题的案件", "Joined to the case of the same problem")
        case "dispatched", "assigned": ("已派遣班组", "A crew has been sent")
        case "accepted": ("班组已接单", "The crew has accepted")
        case "en_route": ("班组正在途中", "The crew is on the way")
        case "on_site", "arrived": ("班组已到场", "The crew has arrived")
        case "handling": ("正在处置", "Being handled")
        case "done", "resolved", "completed": ("现场处置完成", "Work on site is done")
        case "verification": ("正在核查", "Being checked")
        case "verified": ("已核查", "Checked")
        case "closed": ("已结案", "Closed")
        case "reopened": ("已重新立案", "Opened again")
        case "merged": ("已与同一问题的案件合并", "Merged with the case of the same problem")
        case "unmerged": ("已从合并案件中分出", "Separated from the merged case")
        case "rejected": ("不予受理", "Not accepted")
        case "suspended": ("暂缓处理", "Suspended")
        case "resumed": ("恢复处理", "Resumed")
        case "released", "requeued": ("正在重新派遣", "Another crew is being sought")
        case "raised": ("已升级为应急", "Raised to an emergency")
        case "lowered": ("已调整为常规", "Lowered to routine")
        default: ("处理中", "Being worked on")
        }
    }
}
