internal import FoundationEssentials
internal import Model
internal import Postgres

/// A claimed row, ready to be published.
struct OutboxRow: Sendable {
    var id: UUID
    var district: UUID
    var attempt: Int
    var routingKey: String
    var type: String
    /// The structured JSON of the event.
    var body: [UInt8]
}

extension OutboxRow {
    /// From `id, district_id, attempt, aggregate_id, version, type, lane, canary, occurred_at, causation_id,
    /// traceparent, body` of the routine outbox joined with its history.
    init(routine row: Row, source: ServiceName) throws {
        let event = try Event(history: row, source: source)
        self.init(
            id: event.id.rawValue, district: event.district.rawValue, attempt: try row.decode("attempt"),
            routingKey: event.routingKey, type: event.type.rawValue, body: event.structuredJSON())
    }

    /// From `id, district_id, attempt, type, body` of the emergency outbox, whose body is whole.
    init(emergency row: Row) throws {
        let district: UUID = try row.decode("district_id")
        let type: String = try row.decode("type")
        let place = District.ID(district) == District.city ? "city" : District.ID(district).description
        self.init(
            id: try row.decode("id"), district: district, attempt: try row.decode("attempt"),
            routingKey: "\(Lane.emergency.rawValue).\(place).\(type)", type: type,
            body: Array(try row.decode("body", as: String.self).utf8))
    }
}

extension Event {
    /// The columns of `history` that make the event again, in any statement that reads them.
    static let historyColumns: SQL = """
        h.id, h.type, h.occurred_at, h.district_id, h.aggregate_id, h.version, h.lane, h.canary, h.causation_id,
        h.traceparent, h.body::text AS body
        """

    init(history row: Row, source: ServiceName) throws {
        self.init(
            id: try row.decode("id"), source: source, type: try row.decode("type"),
            time: try row.decode("occurred_at"), district: try row.decode("district_id"),
            aggregateID: try row.decode("aggregate_id"), aggregateVersion: try row.decode("version"),
            lane: try row.decode("lane"), canary: try row.decode("canary"),
            causationID: try row.decode("causation_id"), traceparent: try row.decode("traceparent"),
            data: Array(try row.decode("body", as: String.self).utf8))
    }
}
