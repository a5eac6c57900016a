import FoundationEssentials

/// Reads an event's attributes and leaves its data as it stands: consumers decode the data once, as what they take it
/// for, and ledgers not at all. Takes the plain form that Sluice's own services write; `Event(structuredJSON:)` gives
/// anything else to the decoder, which also says what is wrong.
struct EventEnvelope {
    private var strings: [Substring: Substring] = [:]
    /// Numbers and truth values.
    private var words: [Substring: Substring] = [:]
    private var data: [UInt8] = []

    /// Nil if the text is not of the plain form.
    static func read(_ bytes: UnsafeBufferPointer<UInt8>) -> Event? {
        var envelope = EventEnvelope()
        return envelope.scan(bytes) ? envelope.event() : nil
    }

    private mutating func scan(_ bytes: UnsafeBufferPointer<UInt8>) -> Bool {
        var scanner = JSONScan(bytes)
        guard scanner.take("{") else { return false }
        repeat {
            guard let name = scanner.plainString(), scanner.take(":") else { return false }
            if name == "data" {
                guard data.isEmpty, let range = scanner.object() else { return false }
                data = Array(bytes[range])
            } else if let value = scanner.plainString() {
                guard strings.updateValue(value, forKey: name) == nil else { return false }
            } else {
                guard let value = scanner.word(), words.updateValue(value, forKey: name) == nil else { return false }
            }
        } while scanner.take(",")
        return scanner.take("}") && scanner.isAtEnd
    }

    private func event() -> Event? {
        guard strings["specversion"] == "1.0", !data.isEmpty,
            let id = strings["id"].flatMap({ EventRecord.ID($0) }),
            let source = strings["source"].flatMap({ ServiceName(rawValue: String($0)) }),
            let type = strings["type"].flatMap({ EventType(rawValue: String($0)) }),
            let time = strings["time"].flatMap({ Timestamp($0) }),
            let district = strings["district"].flatMap({ District.ID($0) }),
            let aggregate = strings["aggregateid"].flatMap({ UUID(canonical: $0) }),
            let version = words["aggregateversion"].flatMap({ Int($0) }),
            let lane = strings["lane"].flatMap({ Lane(rawValue: String($0)) }),
            let canary = Bool(words["canary"].map(String.init) ?? "false")
        else { return nil }
        let cause = strings["causationid"].map { EventRecord.ID($0) }
        // Given, and not an id.
        if case .some(.none) = cause { return nil }
        return Event(
            id: id, source: source, type: type, time: time, district: district, aggregateID: aggregate,
            aggregateVersion: version, lane: lane, canary: canary, causationID: cause ?? nil,
            traceparent: strings["traceparent"].map(String.init), data: data)
    }
}
