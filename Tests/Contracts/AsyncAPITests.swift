import Foundation
import Model
import Outbox
import Testing

/// deploy/docs/events.asyncapi.json against the types that are encoded and decoded. Samples are made from its schemas.
@Suite("The AsyncAPI document")
struct AsyncAPITests {
    typealias Object = [String: any Sendable]

    private let document: Object
    private let schemas: [String: Object]

    init() throws {
        let file = URL(fileURLWithPath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
            .appendingPathComponent("deploy/docs/events.asyncapi.json")
        let json = try JSONSerialization.jsonObject(with: Data(contentsOf: file))
        document = try #require(json as? Object)
        let components = try #require(document["components"] as? Object)
        schemas = try #require(components["schemas"] as? [String: Object])
    }

    @Test("each type of event has a channel, a message, its publisher and who acts on it")
    func types() throws {
        let channels = try #require(document["channels"] as? [String: Object])
        let operations = try #require(document["operations"] as? [String: Object])
        let messages = try #require((document["components"] as? Object)?["messages"] as? [String: Object])
        #expect(channels.count == EventType.allCases.count)
        #expect(messages.count == EventType.allCases.count)
        for type in EventType.allCases {
            let key = type.rawValue.replacing(".", with: "-")
            #expect(channels[key]?["address"] as? String == "{lane}.{district}.\(type.rawValue)")
            let operation = try #require(operations["publish-\(key)"])
            #expect(operation["x-publisher"] as? String == type.publisher.rawValue)
            #expect(operation["x-acted-on-by"] as? [String] == type.emergencyConsumers.map(\.rawValue))
            let payload = try #require((messages[key]?["payload"] as? Object)?["allOf"] as? [Object])
            let properties = try #require(payload[1]["properties"] as? [String: Object])
            #expect(properties["type"]?["const"] as? String == type.rawValue)
            #expect(properties["data"]?["$ref"] as? String == "#/components/schemas/\(Self.body(of: type))")
        }
    }

    private static func body(of type: EventType) -> String {
        switch type.aggregate {
        case "report": "ReportSnapshot"
        case "case": "CaseSnapshot"
        case "order": "OrderSnapshot"
        case "notice": "NoticeSnapshot"
        case "storm": "StormSnapshot"
        default: "PlaceSnapshot"
        }
    }

    @Test("the bodies have the fields that the schemas say, and want those that these call required")
    func bodies() throws {
        try check("ReportSnapshot", ReportSnapshot.self)
        try check("CaseSnapshot", CaseSnapshot.self)
        try check("OrderSnapshot", OrderSnapshot.self)
        try check("NoticeSnapshot", NoticeSnapshot.self)
        try check("StormSnapshot", StormSnapshot.self)
        try check("PlaceSnapshot", PlaceSnapshot.self)
        try check("Coordinate", Coordinate.self)
    }

    private func check<Body: Codable>(_ name: String, _ type: Body.Type) throws {
        let schema = try #require(schemas[name])
        let properties = try #require(schema["properties"] as? [String: Object])
        let required = try #require(schema["required"] as? [String])
        let whole = try properties.mapValues(sample)
        let value = try decode(type, whole)
        #expect(Set(Mirror(reflecting: value).children.compactMap(\.label)) == Set(properties.keys), "\(name)")
        #expect(try encoded(value) == whole as NSDictionary, "\(name)")
        let least = whole.filter { required.contains($0.key) }
        #expect(try encoded(decode(type, least)) == least as NSDictionary, "\(name)")
        for field in required {
            #expect(throws: DecodingError.self, "\(name).\(field)") {
                try decode(type, whole.filter { $0.key != field })
            }
        }
    }

    @Test("an event has the attributes that its schema says")
    func envelope() throws {
        let schema = try #require(schemas["Event"])
        let properties = try #require(schema["properties"] as? [String: Object])
        let required = try #require(schema["required"] as? [String])
        var whole = try properties.mapValues(sample)
        whole["type"] = "case.opened.v1"
        whole["traceparent"] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
        let event = try Event(structuredJSON: try JSONSerialization.data(withJSONObject: whole))
        let written = try #require(
            try JSONSerialization.jsonObject(with: Data(event.structuredJSON())) as? NSDictionary)
        #expect(Set(written.allKeys.compactMap { $0 as? String }) == Set(properties.keys))
        for field in required {
            let less = try JSONSerialization.data(withJSONObject: whole.filter { $0.key != field })
            #expect(throws: (any Error).self, "\(field)") { try Event(structuredJSON: less) }
        }
    }

    @Test("the words are those of the program")
    func words() throws {
        func words(_ name: String) throws -> [String] { try #require(schemas[name]?["enum"] as? [String], "\(name)") }
        #expect(try words("ReportKind") == ReportKind.allCases.map(\.rawValue))
        #expect(try words("ReportChannel") == ReportChannel.allCases.map(\.rawValue))
        #expect(try words("CaseState") == CaseState.allCases.map(\.rawValue))
        #expect(try words("OrderState") == OrderState.allCases.map(\.rawValue))
        #expect(try words("NoticePurpose") == NoticePurpose.allCases.map(\.rawValue))
        #expect(try words("NoticeState") == NoticeState.allCases.map(\.rawValue))
        #expect(try words("StormLevel") == StormLevel.allCases.map(\.rawValue))
        #expect(try words("PlaceLevel") == PlaceLevel.allCases.map(\.rawValue))
        #expect(try words("FacilityKind") == FacilityKind.allCases.map(\.rawValue))
        #expect(Self.sourceWords(schemas) == ServiceName.allCases.map(\.rawValue))
    }

    private static func sourceWords(_ schemas: [String: Object]) -> [String]? {
        ((schemas["Event"]?["properties"] as? [String: Object])?["source"])?["enum"] as? [String]
    }

    // MARK: - Samples

    private func sample(_ schema: Object) throws -> any Sendable {
        if let parts = schema["allOf"] as? [Object] { return try sample(parts[0]) }
        if let reference = schema["$ref"] as? String {
            let name = try #require(reference.split(separator: "/").last.map(String.init))
            return try sample(try #require(schemas[name], "\(reference)"))
        }
        if let constant = schema["const"] as? String { return constant }
        if let words = schema["enum"] as? [String] { return words[0] }
        switch (schema["type"] as? String, schema["format"] as? String) {
        case ("string", "uuid"?): return "01a213c6-6e81-7c9c-8bd7-16c085cefcb0"
        case ("string", "date-time"?): return "2026-07-01T00:30:00.000000Z"
        case ("string", _): return "text"
        case ("integer", _): return 3
        case ("number", _): return 12.5
        case ("boolean", _): return true
        default:
            let properties = schema["properties"] as? [String: Object] ?? [:]
            return try properties.mapValues(sample)
        }
    }

    private func decode<Body: Decodable>(_ type: Body.Type, _ object: [String: any Sendable]) throws -> Body {
        try JSONDecoder().decode(type, from: JSONSerialization.data(withJSONObject: object))
    }

    private func encoded(_ value: some Encodable) throws -> NSDictionary? {
        try JSONSerialization.jsonObject(with: Data(JSONBytes.encode(value))) as? NSDictionary
    }
}
