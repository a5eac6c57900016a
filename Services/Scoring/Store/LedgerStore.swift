import FoundationEssentials
import Model
import Outbox
import Postgres
import Rules

/// The SQL of the ledger. Live events, the catch-up and a rebuild all write through these, so that they cannot differ.
struct LedgerStore: Sendable {
    /// Where to write.
    enum Target: Sendable {
        case live, rebuilt
    }

    let target: Target

    static let live = LedgerStore(target: .live)
    static let rebuilt = LedgerStore(target: .rebuilt)

    private var evidence: SQL { target == .live ? "scoring.evidence" : "scoring.rebuilt_evidence" }
    private var caseFact: SQL { target == .live ? "scoring.case_fact" : "scoring.rebuilt_case_fact" }

    /// One fact an event; a repeated one changes nothing.
    func record(_ entries: [LedgerEntry]) -> SQL {
        """
        INSERT INTO \(evidence) (event_id, fact, source, aggregate_id, version, district_id, street_id, community_id, at,
                                 body)
        SELECT e.event_id, e.fact, e.source, e.aggregate_id, e.version, e.district_id, e.street_id, e.community_id, e.at,
               e.body::jsonb
        FROM unnest(\(entries.map(\.event.id.rawValue))::uuid[], \(entries.map(\.fact))::text[],
                    \(entries.map(\.event.source.rawValue))::text[], \(entries.map(\.event.aggregateID))::uuid[],
                    \(entries.map(\.event.aggregateVersion))::bigint[],
                    \(entries.map(\.event.district.rawValue))::uuid[], \(entries.map(\.street))::uuid[],
                    \(entries.map(\.community))::uuid[], \(entries.map(\.event.time))::timestamptz[],
                    \(entries.map { String(decoding: $0.event.data, as: UTF8.self) })::text[])
             AS e (event_id, fact, source, aggregate_id, version, district_id, street_id, community_id, at, body)
        ON CONFLICT DO NOTHING
        """
    }

    /// The latest facts of each case with its verdict; an older version changes nothing.
    func project(_ cases: [CaseFact]) -> SQL {
        """
        INSERT INTO \(caseFact) AS f (
            case_id, version, district_id, responsible_district_id, street_id, grid_id, community_id, kind, category,
            emergency, state, opened_at, respond_due, resolve_due, responded_at, resolved_at, closed_at,
            verdict, verdict_code, late_at, rule_version, event_id)
        SELECT DISTINCT ON (c.case_id) c.*
        FROM unnest(
                \(cases.map(\.facts.caseID.rawValue))::uuid[], \(cases.map(\.facts.version))::bigint[],
                \(cases.map(\.facts.districtID.rawValue))::uuid[],
                \(cases.map(\.facts.responsibleDistrictID.rawValue))::uuid[],
                \(cases.map { $0.facts.streetID?.rawValue })::uuid[], \(cases.map { $0.facts.gridID?.rawValue })::uuid[],
                \(cases.map { $0.facts.communityID?.rawValue })::uuid[],
                \(cases.map(\.facts.kind.rawValue))::text[], \(cases.map(\.facts.category))::text[],
                \(cases.map(\.facts.emergency))::boolean[], \(cases.map(\.facts.state.rawValue))::text[],
                \(cases.map(\.facts.openedAt))::timestamptz[], \(cases.map(\.facts.respondDue))::timestamptz[],
                \(cases.map(\.facts.resolveDue))::timestamptz[], \(cases.map(\.facts.respondedAt))::timestamptz[],
                \(cases.map(\.facts.resolvedAt))::timestamptz[], \(cases.map(\.facts.closedAt))::timestamptz[],
                \(cases.map(\.verdict.word))::text[], \(cases.map(\.verdict.code))::text[],
                \(cases.map(\.verdict.lateAt))::timestamptz[],
                \(cases.map { _ in TimelyHandling.version })::int[], \(cases.map(\.eventID.rawValue))::uuid[])
             AS c (case_id, version, district_id, responsible_district_id, street_id, grid_id, community_id, kind,
                   category, emergency, state, opened_at, respond_due, resolve_due, responded_at, resolved_at,
                   closed_at, verdict, verdict_code, late_at, rule_version, event_id)
        ORDER BY c.case_id, c.version DESC
        ON CONFLICT (case_id) DO UPDATE
        SET version = excluded.version, responsible_district_id = excluded.responsible_district_id,
            street_id = excluded.street_id, grid_id = excluded.grid_id, community_id = excluded.community_id,
            kind = excluded.kind, category = excluded.category, emergency = excluded.emergency, state = excluded.state,
            opened_at = excluded.opened_at, respond_due = excluded.respond_due, resolve_due = excluded.resolve_due,
            responded_at = excluded.responded_at, resolved_at = excluded.resolved_at, closed_at = excluded.closed_at,
            verdict = excluded.verdict, verdict_code = excluded.verdict_code, late_at = excluded.late_at,
            rule_version = excluded.rule_version, event_id = excluded.event_id
        WHERE f.version < excluded.version
        """
    }

    /// Both, for a batch of events.
    func write(_ events: [Event]) throws -> [SQL] {
        let entries = try events.map(LedgerEntry.init)
        let cases = entries.compactMap(\.caseFact)
        return [record(entries)] + (cases.isEmpty ? [] : [project(cases)])
    }
}

/// One event as the ledger keeps it.
struct LedgerEntry: Sendable {
    var event: Event
    /// The event's type without its version: `case.opened`.
    var fact: String
    var street: UUID?
    var community: UUID?
    var caseFact: CaseFact?

    /// Throws `Poison` if the body is not what the type promises.
    init(_ event: Event) throws {
        self.event = event
        self.fact = String(event.type.rawValue.dropLast(".v1".count))
        switch event.type.aggregate {
        case "report":
            let body: ReportSnapshot = try Self.read(event)
            street = body.streetID?.rawValue
            community = body.communityID?.rawValue
        case "case":
            let body: CaseSnapshot = try Self.read(event)
            street = body.streetID?.rawValue
            community = body.communityID?.rawValue
            caseFact = CaseFact(facts: body, verdict: TimelyHandling.verdict(of: body), eventID: event.id)
        case "order":
            let body: OrderSnapshot = try Self.read(event)
            street = body.streetID?.rawValue
        case "notice":
            let body: NoticeSnapshot = try Self.read(event)
            street = body.streetID?.rawValue
        case "storm": let _: StormSnapshot = try Self.read(event)
        default: let _: PlaceSnapshot = try Self.read(event)
        }
    }

    private static func read<Body: Decodable>(_ event: Event) throws -> Body {
        do {
            return try event.body()
        } catch {
            throw Poison("the body of \(event.type.rawValue) does not have its form")
        }
    }
}

/// The latest facts of a case and what the rule says of them.
struct CaseFact: Sendable {
    var facts: CaseSnapshot
    var verdict: TimelyHandling.Verdict
    var eventID: EventRecord.ID
}

extension TimelyHandling.Verdict {
    /// As the table keeps it.
    var word: String {
        switch self {
        case .inTime: "in_time"
        case .late: "late"
        case .pending: "pending"
        case .excluded: "excluded"
        }
    }

    /// Which clock, or why not.
    var code: String {
        switch self {
        case .inTime: "in_time"
        case .late(let clock, _), .pending(let clock, _): clock.rawValue
        case .excluded(let reason): reason.rawValue
        }
    }

    /// When the clock ran out, or will; nil while it stands still.
    var lateAt: Timestamp? {
        switch self {
        case .late(_, let time): time
        case .pending(_, let time): time
        case .inTime, .excluded: nil
        }
    }
}
