import FoundationEssentials

/// The structured JSON form of CloudEvents 1.0 (content type `application/cloudevents+json`).
extension Event: Codable {
    public static let contentType = "application/cloudevents+json"

    private enum Key: String, CodingKey {
        case specversion, id, source, type, time, subject, datacontenttype, traceparent
        case district, aggregateid, aggregateversion, lane, canary, causationid, data
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: Key.self)
        let specification = try container.decode(String.self, forKey: .specversion)
        guard specification == "1.0" else {
            throw DecodingError.dataCorruptedError(
                forKey: .specversion, in: container, debugDescription: "only CloudEvents 1.0 is understood")
        }
        self.init(
            id: try container.decode(EventRecord.ID.self, forKey: .id),
            source: try container.decode(ServiceName.self, forKey: .source),
            type: try container.decode(EventType.self, forKey: .type),
            time: try container.decode(Timestamp.self, forKey: .time),
            district: try container.decode(District.ID.self, forKey: .district),
            aggregateID: try container.decode(UUID.self, forKey: .aggregateid),
            aggregateVersion: try container.decode(Int.self, forKey: .aggregateversion),
            lane: try container.decode(Lane.self, forKey: .lane),
            canary: try container.decodeIfPresent(Bool.self, forKey: .canary) ?? false,
            causationID: try container.decodeIfPresent(EventRecord.ID.self, forKey: .causationid),
            traceparent: try container.decodeIfPresent(String.self, forKey: .traceparent),
            data: try JSONBytes.encode(try container.decode(JSONValue.self, forKey: .data)))
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode("1.0", forKey: .specversion)
        try container.encode(id, forKey: .id)
        try container.encode(source, forKey: .source)
        try container.encode(type, forKey: .type)
        try container.encode(time, forKey: .time)
        try container.encode(Identifier<Event>(aggregateID).description, forKey: .subject)
        try container.encode("application/json", forKey: .datacontenttype)
        try container.encodeIfPresent(traceparent, forKey: .traceparent)
        try container.encode(district, forKey: .district)
        try container.encode(Identifier<Event>(aggregateID).description, forKey: .aggregateid)
        try container.encode(aggregateVersion, forKey: .aggregateversion)
        try container.encode(lane, forKey: .lane)
        try container.encode(canary, forKey: .canary)
        try container.encodeIfPresent(causationID, forKey: .causationid)
        try container.encode(try JSONDecoder().decode(JSONValue.self, from: Data(data)), forKey: .data)
    }

    /// The bytes that travel and that the outbox keeps. Built by hand around `data`, which is JSON already: encoding
    /// it a second time was the relay's largest cost.
    public func structuredJSON() -> [UInt8] {
        let aggregate = Identifier<Event>(aggregateID).description
        var head =
            #"{"specversion":"1.0","id":"\#(id)","source":"\#(source.rawValue)","type":"\#(type.rawValue)""#
            + #","time":"\#(time)","subject":"\#(aggregate)","datacontenttype":"application/json""#
            + #","district":"\#(district)","aggregateid":"\#(aggregate)","aggregateversion":\#(aggregateVersion)"#
            + #","lane":"\#(lane.rawValue)","canary":\#(canary)"#
        if let causationID { head += #","causationid":"\#(causationID)""# }
        // A traceparent that is not plain hexadecimal and dashes is dropped rather than escaped.
        if let traceparent,
            traceparent.utf8.allSatisfy({ $0 == 0x2D || (0x30...0x39).contains($0) || (0x61...0x66).contains($0) })
        {
            head += #","traceparent":"\#(traceparent)""#
        }
        head += #","data":"#
        var bytes = Array(head.utf8)
        bytes.append(contentsOf: data)
        bytes.append(UInt8(ascii: "}"))
        return bytes
    }

    /// Reads what `structuredJSON` or any other CloudEvents producer wrote.
    public init(structuredJSON bytes: some Collection<UInt8>) throws {
        let bytes = Array(bytes)
        self =
            try bytes.withUnsafeBufferPointer { EventEnvelope.read($0) }
            ?? JSONDecoder().decode(Event.self, from: Data(bytes))
    }
}

/// Any JSON, for the parts of a message that are passed on without being understood.
public enum JSONValue: Sendable, Hashable, Codable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        if container.decodeNil() {
            self = .null
        } else if let value = try? container.decode(Bool.self) {
            self = .bool(value)
        } else if let value = try? container.decode(Int64.self) {
            self = .integer(value)
        } else if let value = try? container.decode(Double.self) {
            self = .number(value)
        } else if let value = try? container.decode(String.self) {
            self = .string(value)
        } else if let value = try? container.decode([JSONValue].self) {
            self = .array(value)
        } else {
            self = .object(try container.decode([String: JSONValue].self))
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        switch self {
        case .null: try container.encodeNil()
        case .bool(let value): try container.encode(value)
        case .integer(let value): try container.encode(value)
        case .number(let value): try container.encode(value)
        case .string(let value): try container.encode(value)
        case .array(let value): try container.encode(value)
        case .object(let value): try container.encode(value)
        }
    }
}
