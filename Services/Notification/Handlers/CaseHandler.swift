import FoundationEssentials
import Logging
import Metrics
import Model
import Outbox
import Postgres
import Rules

/// Acts on what dispatch says of cases: whoever must be told is told, and told when it is over. Both lanes have their
/// own consumer with this handler; the case's lock keeps them apart.
struct CaseHandler: DecisionHandler {
    struct Plan: Sendable {
        /// By event, for those that are about cases.
        var snapshots: [EventRecord.ID: CaseSnapshot] = [:]
    }

    let maker: NoticeMaker
    /// Rung when something may go out.
    let bell: SendBell

    func plan(_ events: [Event]) throws -> (locks: [AdvisoryLock], look: [SQL], plan: Plan) {
        var plan = Plan()
        for event in events where event.type.aggregate == "case" {
            plan.snapshots[event.id] = try event.body(as: CaseSnapshot.self)
        }
        guard !plan.snapshots.isEmpty else { return ([], [], plan) }
        let cases = Set(plan.snapshots.values.map(\.caseID)).sorted()
        // What was told matters for a case that is no emergency any more, too: it is taken back then.
        let look = [
            NoticeStore.held(cases.map(\.rawValue)), OfficeStore.contacts(for: plan.snapshots.values),
            NoticeStore.told(cases.map(\.rawValue)),
        ]
        return (cases.map { AdvisoryLock.aggregate($0) }, look, plan)
    }

    func decide(
        _ events: [Event], plan: Plan, rows: [Rows], now: Timestamp
    ) throws -> (writes: [SQL], announcements: [Announcement]) {
        guard rows.count >= 3 else { return ([], []) }
        var held: [Case.ID: CaseSnapshot] = [:]
        for row in rows[0] {
            let snapshot: CaseSnapshot = try JSONB(row.decode("snapshot", as: String.self)).decode()
            held[snapshot.caseID] = snapshot
        }
        let contacts = try Contacts(rows[1])
        let told = try rows[2].map { try NoticeRecord($0) }

        var notices: [NewNotice] = []
        var withdrawn: Set<UUID> = []
        var changed: [Case.ID: HeldCase] = [:]
        for event in events {
            guard let new = plan.snapshots[event.id] else { continue }
            let earlier = told.filter { $0.caseID == new.caseID }
            // Each time that somebody is told of a case is a round of its own.
            var round = max(
                earlier.map(\.round).max() ?? 0,
                notices.filter { $0.facts.caseID == new.caseID }.map(\.round).max() ?? 0)
            for action in NoticePlan.actions(held: held[new.caseID], new: new) {
                switch action {
                case .tellEmergency(let reason):
                    round += 1
                    notices += maker.emergency(new, contacts: contacts, round: round, reason: reason, now: now)
                case .tellRoutine:
                    notices.append(maker.routine(new, contacts: contacts, now: now))
                case .standDown(let reason):
                    round += 1
                    let over = earlier.filter { $0.state != .withdrawn && $0.purpose != .stoodDown }
                    withdrawn.formUnion(over.map(\.id.rawValue))
                    notices.removeAll { $0.facts.caseID == new.caseID }
                    notices += maker.standDown(
                        new, told: over, contacts: contacts, round: round, reason: reason, now: now)
                }
            }
            if held[new.caseID].map({ $0.version < new.version }) ?? true {
                held[new.caseID] = new
                changed[new.caseID] = HeldCase(facts: new, json: event.data)
            }
        }
        var writes = NoticeStore.withdraw(withdrawn.sorted()) + NoticeStore.insert(notices)
        if !changed.isEmpty {
            writes.append(NoticeStore.hold(changed.values.sorted { $0.facts.caseID < $1.facts.caseID }))
        }
        return (writes, [])
    }

    func committed(_ events: [Event], announcements: [Announcement]) async {
        bell.ring(events.contains { $0.lane == .emergency } ? .emergency : .routine)
    }
}

/// Turns "tell them" into notices, deliveries and links. Pure but for ids and randomness, which come from the sources.
struct NoticeMaker: Sendable {
    let sources: Sources
    let terms: EscalationTerms
    /// How long a link works.
    var linkLife: Duration = .seconds(48 * 3600)

    func emergency(
        _ facts: CaseSnapshot, contacts: Contacts, round: Int, reason: NoticePlan.Reason, now: Timestamp
    ) -> [NewNotice] {
        tell(
            facts, desk: contacts.desk(district: facts.districtID, street: facts.streetID), level: 1,
            purpose: .emergency, round: round, reason: reason.rawValue,
            // Nobody is behind the canary's sink to acknowledge.
            escalateAt: facts.districtID == District.canary ? nil : terms.due(created: now, severity: facts.severity),
            now: now)
    }

    /// The second level of the same office; where it has none, the district's office.
    func escalation(
        _ facts: CaseSnapshot, contacts: Contacts, round: Int, now: Timestamp
    ) -> [NewNotice] {
        let own = contacts.desk(district: facts.districtID, street: facts.streetID)
        let desk = own?.people.contains { $0.level == 2 } == true ? own : contacts.districtDesk(facts.districtID) ?? own
        return tell(
            facts, desk: desk, level: 2, purpose: .escalation, round: round, reason: "not_acknowledged",
            escalateAt: nil,
            now: now)
    }

    func routine(_ facts: CaseSnapshot, contacts: Contacts, now: Timestamp) -> NewNotice {
        NewNotice(
            id: Identifier(sources.randomUUID(now)), facts: facts,
            office: contacts.desk(district: facts.districtID, street: facts.streetID)?.office, recipient: nil,
            purpose: .routine, round: 1, state: .delivered, createdAt: now, reason: "opened")
    }

    /// Who was told learns that it is over, by the same ways.
    func standDown(
        _ facts: CaseSnapshot, told: [NoticeRecord], contacts: Contacts, round: Int, reason: NoticePlan.Reason,
        now: Timestamp
    ) -> [NewNotice] {
        let people = Dictionary(
            contacts.desks.flatMap { desk in desk.people.map { ($0.id, (desk, $0)) } }, uniquingKeysWith: { a, _ in a })
        var seen: Set<Recipient.ID> = []
        return told.compactMap { notice in
            // Nobody is told of the end of what they never heard of.
            guard notice.firstAttemptAt != nil, let id = notice.recipient, seen.insert(id).inserted,
                let (desk, person) = people[id]
            else { return nil }
            return self.notice(
                facts, desk: desk, person: person, purpose: .stoodDown, round: round, reason: reason.rawValue,
                escalateAt: nil, links: false, now: now)
        }
    }

    private func tell(
        _ facts: CaseSnapshot, desk: Contacts.Desk?, level: Int, purpose: NoticePurpose, round: Int, reason: String,
        escalateAt: Timestamp?, now: Timestamp
    ) -> [NewNotice] {
        let people = desk?.people.filter { $0.level == level } ?? []
        guard let desk, !people.isEmpty else {
            // Nobody is on duty: the notice lies in the inbox where dispatchers see it, and an alarm says so.
            Counter(label: "sluice_notices_without_recipient_total", dimensions: [("purpose", purpose.rawValue)])
                .increment()
            return [
                NewNotice(
                    id: Identifier(sources.randomUUID(now)), facts: facts, office: desk?.office, recipient: nil,
                    purpose: purpose, round: round, state: .failed, createdAt: now, escalateAt: escalateAt,
                    reason: "nobody_on_duty")
            ]
        }
        return people.map { person in
            notice(
                facts, desk: desk, person: person, purpose: purpose, round: round, reason: reason,
                escalateAt: escalateAt, links: true, now: now)
        }
    }

    private func notice(
        _ facts: CaseSnapshot, desk: Contacts.Desk, person: Contacts.Person, purpose: NoticePurpose, round: Int,
        reason: String, escalateAt: Timestamp?, links: Bool, now: Timestamp
    ) -> NewNotice {
        let id = Notice.ID(sources.randomUUID(now))
        return NewNotice(
            id: id, facts: facts, office: desk.office, recipient: person.id, purpose: purpose, round: round,
            state: person.channels.isEmpty ? .delivered : .pending, createdAt: now, escalateAt: escalateAt,
            reason: reason,
            deliveries: person.channels.map {
                NewDelivery(id: sources.randomUUID(now), channel: $0.id, kind: $0.kind)
            },
            link: links
                ? Link(
                    kid: Self.kid(sources.randomBytes(12)), notice: id, recipient: person.id, expiresAt: now + linkLife)
                : nil)
    }

    private static func kid(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789".utf8)
        // 24 characters of 62, each from one half-byte and its neighbour: enough that none is guessed.
        return String(
            decoding: bytes.flatMap { [alphabet[Int($0) % 62], alphabet[Int($0 / 4) % 62]] }, as: UTF8.self)
    }
}
