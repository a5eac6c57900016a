internal import Model
internal import Postgres

/// What became of the messages of one transaction that was committed.
struct Performed: Sendable {
    /// Effects written now.
    var new: [Message] = []
    /// Were done before, here or by a rival.
    var already: [Message] = []
    /// A neighbour holds their locks: for the next batch.
    var deferred: [Message] = []
}

/// How a batch goes about its locks.
struct Approach: Sendable {
    /// Wait for patient locks too.
    var waits: Bool
    var eventLocks: Inbox.EventLocks
}

/// Runs handlers' transactions. What the handler throws and what the database answers comes out as it is.
struct Performer: Sendable {
    let inbox: Inbox
    let messaging: Messaging
    let database: PostgresClient

    // MARK: - Segments

    /// {inbox, effects, outbox} in one trip.
    func perform(_ handler: some SegmentHandler, _ message: Message) async throws -> Performed {
        guard let event = message.event else { return Performed() }
        let (statements, announcements) = try handler.effects(of: event)
        var segment = [inbox.insert(message.key)] + statements
        if message.isRecorded { segment += inbox.forgetTries(of: [message.recordedAs]) }
        segment += messaging.announce(announcements)
        do {
            _ = try await database.segment(segment)
        } catch let error as PostgresError where error.isUniqueViolation(constraint: Inbox.constraint) {
            if message.isRecorded { _ = try await database.segment(inbox.forgetTries(of: [message.recordedAs])) }
            return Performed(already: [message])
        }
        if !announcements.isEmpty { messaging.committed(announcements) }
        await handler.committed(event, announcements: announcements)
        return Performed(new: [message])
    }

    // MARK: - Decisions

    /// {BEGIN, inbox, locks, look}, decide, {writes, outbox, COMMIT}: two trips.
    func perform(
        _ handler: some DecisionHandler, _ messages: [Message], approach: Approach
    ) async throws -> Performed {
        // The same message may have come by both ways, or twice by one; its key is inserted once.
        var byKey: [InboxKey: [Message]] = [:]
        for message in messages where message.event != nil { byKey[message.key, default: []].append(message) }
        let keys = byKey.keys.sorted()
        let events = keys.compactMap { byKey[$0]?.first?.event }
        guard !keys.isEmpty else { return Performed() }
        let planned = try handler.plan(events)
        let records = byKey.mapValues { copies in copies.filter(\.isRecorded).map(\.recordedAs) }

        let decided = try await database.transaction { transaction in
            var first = [inbox.insertNew(keys, locks: approach.eventLocks)]
            if !planned.locks.isEmpty { first.append(AdvisoryLock.statement(planned.locks, waits: approach.waits)) }
            let lookBegins = first.count
            let answers = try await transaction.send(first + planned.look)

            let new = Set(try answers[0].map { try InboxKey(row: $0) })
            let missing = planned.locks.isEmpty ? [] : try AdvisoryLock.missing(answers[1])
            let deferred = try missing.isEmpty ? [] : deferred(of: events, new: new, missing: missing, handler)
            let ready = events.filter { new.contains($0.inboxKey) && !deferred.contains($0.inboxKey) }

            // Taken back whatever else is committed: a deferred event that kept its inbox row would never be done.
            var last = deferred.isEmpty ? [] : [inbox.forget(deferred.sorted())]
            var announcements: [Announcement] = []
            if !ready.isEmpty {
                let decision = try handler.decide(
                    ready, plan: planned.plan, rows: Array(answers[lookBegins...]), now: messaging.sources.now())
                announcements = decision.announcements
                last += decision.writes
            }
            let finished = keys.filter { !deferred.contains($0) && (new.contains($0) || approach.settlesOthers) }
            let over = finished.flatMap { records[$0] ?? [] }
            if !over.isEmpty { last += inbox.forgetTries(of: over) }
            last += messaging.announce(announcements)
            // An event that calls for nothing is done as well: its inbox row must stay, or it is announced for ever.
            if last.isEmpty, ready.isEmpty {
                try await transaction.rollback()
            } else {
                try await transaction.commit(last)
            }
            return Decided(
                new: new.subtracting(deferred), deferred: deferred, ready: ready, announcements: announcements)
        }

        if !decided.announcements.isEmpty { messaging.committed(decided.announcements) }
        if !decided.ready.isEmpty {
            await handler.committed(decided.ready, announcements: decided.announcements)
        }
        var performed = Performed()
        for (key, copies) in byKey {
            if decided.deferred.contains(key) {
                performed.deferred += copies
            } else if decided.new.contains(key) {
                performed.new.append(copies[0])
                performed.already += copies.dropFirst()
            } else {
                performed.already += copies
            }
        }
        return performed
    }

    private struct Decided: Sendable {
        var new: Set<InboxKey>
        var deferred: Set<InboxKey>
        var ready: [Event]
        var announcements: [Announcement]
    }

    /// The new events that need a lock which a neighbour holds.
    private func deferred(
        of events: [Event], new: Set<InboxKey>, missing: Set<Int64>, _ handler: some DecisionHandler
    ) throws -> Set<InboxKey> {
        var keys: Set<InboxKey> = []
        for event in events where new.contains(event.inboxKey) {
            if try handler.plan([event]).locks.contains(where: { missing.contains($0.key) }) {
                keys.insert(event.inboxKey)
            }
        }
        return keys
    }
}

extension Approach {
    /// What the inbox did not take is done already, and not merely in a rival's hands.
    var settlesOthers: Bool {
        if case .skip = eventLocks { false } else { true }
    }
}

extension Event {
    var inboxKey: InboxKey { InboxKey(source: source.rawValue, eventID: id.rawValue) }
}

extension InboxKey {
    /// From `source, event_id`.
    init(row: Row) throws {
        self.init(source: try row.decode("source"), eventID: try row.decode("event_id"))
    }
}
