public import FoundationEssentials

/// One fact as it travels between services: CloudEvents 1.0 in structured JSON with Sluice's extension attributes.
/// `data` is the snapshot, already encoded, so that relays and ledgers need not understand it.
public struct Event: Sendable, Hashable {
    public var id: EventRecord.ID
    public var source: ServiceName
    /// `<aggregate>.<fact>.v1`
    public var type: EventType
    public var time: Timestamp
    public var district: District.ID
    public var aggregateID: UUID
    public var aggregateVersion: Int
    public var lane: Lane
    public var canary: Bool
    public var causationID: EventRecord.ID?
    public var traceparent: String?
    /// JSON of the body.
    public var data: [UInt8]

    public init(
        id: EventRecord.ID, source: ServiceName, type: EventType, time: Timestamp, district: District.ID,
        aggregateID: UUID, aggregateVersion: Int, lane: Lane, canary: Bool = false,
        causationID: EventRecord.ID? = nil, traceparent: String? = nil, data: [UInt8]
    ) {
        self.id = id
        self.source = source
        self.type = type
        self.time = time
        self.district = district
        self.aggregateID = aggregateID
        self.aggregateVersion = aggregateVersion
        self.lane = lane
        self.canary = canary
        self.causationID = causationID
        self.traceparent = traceparent
        self.data = data
    }

    /// `<lane>.<district>.<type>`; what concerns the whole city says `city`.
    public var routingKey: String {
        "\(lane.rawValue).\(district == District.city ? "city" : district.description).\(type.rawValue)"
    }

    /// Decodes the body. Fields that the reader does not know are ignored.
    public func body<Body: Decodable>(as type: Body.Type = Body.self) throws -> Body {
        try JSONDecoder().decode(type, from: Data(data))
    }
}

/// Every type of event, each with the one that publishes it. The catalogue in CONTRACTS.md is held against this list.
public enum EventType: String, Codable, Sendable, CaseIterable {
    case reportReceived = "report.received.v1"
    case caseOpened = "case.opened.v1"
    case caseChanged = "case.changed.v1"
    case caseMerged = "case.merged.v1"
    case caseUnmerged = "case.unmerged.v1"
    case caseClosed = "case.closed.v1"
    case caseOverdue = "case.overdue.v1"
    case orderAssigned = "order.assigned.v1"
    case orderChanged = "order.changed.v1"
    case orderCompleted = "order.completed.v1"
    case orderReleased = "order.released.v1"
    case stormLevelChanged = "storm.level_changed.v1"
    case noticeAttempted = "notice.attempted.v1"
    case noticeAcknowledged = "notice.acknowledged.v1"
    case noticeEscalated = "notice.escalated.v1"
    case noticeCommented = "notice.commented.v1"
    case facilityChanged = "facility.changed.v1"
    case placeChanged = "place.changed.v1"

    public var publisher: ServiceName {
        switch aggregate {
        case "report": .intake
        case "case", "order", "storm": .dispatch
        case "notice": .notification
        default: .gisSync
        }
    }

    /// The first word: `report`, `case`, `order`, `storm`, `notice`, `facility`, `place`.
    public var aggregate: String {
        String(rawValue.prefix { $0 != "." })
    }

    /// Who acts on the event in the emergency lane, and so watches the publisher's outbox as well as the broker.
    public var emergencyConsumers: [ServiceName] {
        switch aggregate {
        case "report", "notice": [.dispatch]
        case "case", "order", "storm": [.notification]
        default: []
        }
    }
}
