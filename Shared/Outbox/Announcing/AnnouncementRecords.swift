import Model

/// Announcements as one JSON array, the form in which `jsonb_to_recordset` takes any number of them as a single
/// parameter: the statement's text never changes, so it is prepared once.
enum AnnouncementRecords {
    static func json(_ announcements: [Announcement]) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(announcements.reduce(2) { $0 + 640 + 2 * $1.event.data.count })
        bytes.append(UInt8(ascii: "["))
        for (index, announcement) in announcements.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            append(announcement, to: &bytes)
        }
        bytes.append(UInt8(ascii: "]"))
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func append(_ announcement: Announcement, to bytes: inout [UInt8]) {
        let event = announcement.event
        var isFirst = true
        func field(_ name: StaticString, _ write: (inout [UInt8]) -> Void) {
            bytes.append(UInt8(ascii: isFirst ? "{" : ","))
            isFirst = false
            bytes.append(UInt8(ascii: "\""))
            name.withUTF8Buffer { bytes.append(contentsOf: $0) }
            bytes.append(contentsOf: [UInt8(ascii: "\""), UInt8(ascii: ":")])
            write(&bytes)
        }
        func text(_ name: StaticString, _ value: String?) {
            guard let value else { return }
            field(name) { appendString(value.utf8, to: &$0) }
        }
        func raw(_ name: StaticString, _ value: some Sequence<UInt8>) {
            field(name) { $0.append(contentsOf: value) }
        }
        text("id", event.id.description)
        text("aggregate", announcement.aggregate)
        text("aggregate_id", Identifier<Event>(event.aggregateID).description)
        raw("version", String(event.aggregateVersion).utf8)
        text("type", event.type.rawValue)
        text("district_id", event.district.description)
        text("lane", event.lane.rawValue)
        raw("canary", (event.canary ? "true" : "false").utf8)
        text("actor", announcement.actor)
        text("occurred_at", event.time.description)
        text("observed_at", announcement.observedAt?.description)
        text("received_at", announcement.receivedAt?.description)
        text("causation_id", event.causationID?.description)
        text("traceparent", event.traceparent)
        if event.lane == .emergency {
            // Quotes in the names of consumers do not exist: they are made of our own words.
            raw("consumers", "[\(event.type.emergencyInboxes.map { "\"\($0)\"" }.joined(separator: ","))]".utf8)
            field("message") { appendString(event.structuredJSON(), to: &$0) }
        }
        raw("body", event.data)
        bytes.append(UInt8(ascii: "}"))
    }

    /// A JSON string. `jsonb` has no room for U+0000, which therefore becomes U+FFFD.
    private static func appendString(_ text: some Sequence<UInt8>, to bytes: inout [UInt8]) {
        bytes.append(UInt8(ascii: "\""))
        for byte in text {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                bytes.append(UInt8(ascii: "\\"))
                bytes.append(byte)
            case 0:
                bytes.append(contentsOf: #"\ufffd"#.utf8)
            case 0x01...0x1F:
                let digits = Array("0123456789abcdef".utf8)
                bytes.append(contentsOf: #"\u00"#.utf8)
                bytes.append(digits[Int(byte >> 4)])
                bytes.append(digits[Int(byte & 0xF)])
            default:
                bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }
}
