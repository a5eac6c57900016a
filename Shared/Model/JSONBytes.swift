/// Encodes straight into bytes. Foundation's encoder builds a tree of dictionaries first, which was a third of what
/// dispatch did under load; there is nothing that it could do here in exchange: no dates, no data, no options.
///
/// Fields come in the order in which a type encodes them. Throws `EncodingError` for numbers that JSON does not have.
public enum JSONBytes {
    public static func encode(_ value: some Encodable) throws -> [UInt8] {
        let sink = Sink()
        try sink.encode(value, path: [])
        return sink.bytes
    }

    public static func text(of value: some Encodable) throws -> String {
        String(decoding: try encode(value), as: UTF8.self)
    }
}

/// The bytes so far, and which objects and arrays are open. A container knows its level and closes what is open below
/// it before it writes: nobody says when a container is finished.
private final class Sink {
    private(set) var bytes: [UInt8] = []
    private var closers: [UInt8] = []
    private var isEmpty = true

    init() { bytes.reserveCapacity(512) }

    var level: Int { closers.count }

    func close(downTo level: Int) {
        while closers.count > level {
            bytes.append(closers.removeLast())
            isEmpty = false
        }
    }

    func open(_ opener: Unicode.Scalar, _ closer: Unicode.Scalar) -> Int {
        bytes.append(UInt8(ascii: opener))
        closers.append(UInt8(ascii: closer))
        isEmpty = true
        return closers.count
    }

    /// The next element of the container at `level`; a key, if it is an object.
    func begin(at level: Int, key: (any CodingKey)? = nil) {
        close(downTo: level)
        if !isEmpty { bytes.append(UInt8(ascii: ",")) }
        isEmpty = false
        if let key {
            quote(key.stringValue)
            bytes.append(UInt8(ascii: ":"))
        }
    }

    func raw(_ text: String) { bytes.append(contentsOf: text.utf8) }

    func number(_ value: Double, path: [any CodingKey]) throws {
        guard value.isFinite else {
            throw EncodingError.invalidValue(
                value, EncodingError.Context(codingPath: path, debugDescription: "JSON has no such number"))
        }
        let text = value.description
        raw(text.hasSuffix(".0") ? String(text.dropLast(2)) : text)
    }

    func quote(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        var text = text
        text.withUTF8 { utf8 in
            if utf8.contains(where: { $0 < 0x20 || $0 == 0x22 || $0 == 0x5C }) {
                for byte in utf8 { escape(byte) }
            } else {
                bytes.append(contentsOf: utf8)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private func escape(_ byte: UInt8) {
        switch byte {
        case 0x22: raw(#"\""#)
        case 0x5C: raw(#"\\"#)
        case 0x0A: raw(#"\n"#)
        case 0x0D: raw(#"\r"#)
        case 0x09: raw(#"\t"#)
        case 0..<0x20:
            let hexadecimal = String(byte, radix: 16)
            raw(byte < 16 ? #"\u000"# : #"\u00"#)
            raw(hexadecimal)
        default: bytes.append(byte)
        }
    }

    /// A value that is none of the simple ones.
    func encode(_ value: some Encodable, path: [any CodingKey]) throws {
        let outer = level
        let before = bytes.count
        try value.encode(to: ByteEncoder(sink: self, codingPath: path))
        close(downTo: outer)
        // A type without anything to say is an empty object.
        if bytes.count == before { raw("{}") }
        isEmpty = false
    }
}

private struct ByteEncoder: Encoder {
    let sink: Sink
    let codingPath: [any CodingKey]
    var userInfo: [CodingUserInfoKey: Any] { [:] }

    func container<Key: CodingKey>(keyedBy type: Key.Type) -> KeyedEncodingContainer<Key> {
        KeyedEncodingContainer(Fields(sink: sink, level: sink.open("{", "}"), codingPath: codingPath))
    }

    func unkeyedContainer() -> any UnkeyedEncodingContainer {
        Items(sink: sink, level: sink.open("[", "]"), codingPath: codingPath)
    }

    func singleValueContainer() -> any SingleValueEncodingContainer { Single(sink: sink, codingPath: codingPath) }
}

private struct Fields<Key: CodingKey>: KeyedEncodingContainerProtocol {
    let sink: Sink
    let level: Int
    let codingPath: [any CodingKey]

    func encodeNil(forKey key: Key) {
        sink.begin(at: level, key: key)
        sink.raw("null")
    }

    func encode(_ value: Bool, forKey key: Key) {
        sink.begin(at: level, key: key)
        sink.raw(value ? "true" : "false")
    }

    func encode(_ value: String, forKey key: Key) {
        sink.begin(at: level, key: key)
        sink.quote(value)
    }

    func encode(_ value: Double, forKey key: Key) throws {
        sink.begin(at: level, key: key)
        try sink.number(value, path: codingPath + [key])
    }

    func encode(_ value: Float, forKey key: Key) throws { try encode(Double(value), forKey: key) }
    func encode(_ value: Int, forKey key: Key) { integer(value, key) }
    func encode(_ value: Int8, forKey key: Key) { integer(value, key) }
    func encode(_ value: Int16, forKey key: Key) { integer(value, key) }
    func encode(_ value: Int32, forKey key: Key) { integer(value, key) }
    func encode(_ value: Int64, forKey key: Key) { integer(value, key) }
    func encode(_ value: UInt, forKey key: Key) { integer(value, key) }
    func encode(_ value: UInt8, forKey key: Key) { integer(value, key) }
    func encode(_ value: UInt16, forKey key: Key) { integer(value, key) }
    func encode(_ value: UInt32, forKey key: Key) { integer(value, key) }
    func encode(_ value: UInt64, forKey key: Key) { integer(value, key) }

    private func integer(_ value: some FixedWidthInteger, _ key: Key) {
        sink.begin(at: level, key: key)
        sink.raw(String(value))
    }

    func encode(_ value: some Encodable, forKey key: Key) throws {
        sink.begin(at: level, key: key)
        try sink.encode(value, path: codingPath + [key])
    }

    func nestedContainer<Nested: CodingKey>(
        keyedBy type: Nested.Type, forKey key: Key
    ) -> KeyedEncodingContainer<Nested> {
        sink.begin(at: level, key: key)
        return ByteEncoder(sink: sink, codingPath: codingPath + [key]).container(keyedBy: type)
    }

    func nestedUnkeyedContainer(forKey key: Key) -> any UnkeyedEncodingContainer {
        sink.begin(at: level, key: key)
        return ByteEncoder(sink: sink, codingPath: codingPath + [key]).unkeyedContainer()
    }

    func superEncoder() -> any Encoder {
        sink.begin(at: level, key: Key(stringValue: "super"))
        return ByteEncoder(sink: sink, codingPath: codingPath)
    }

    func superEncoder(forKey key: Key) -> any Encoder {
        sink.begin(at: level, key: key)
        return ByteEncoder(sink: sink, codingPath: codingPath + [key])
    }
}

private struct Items: UnkeyedEncodingContainer {
    let sink: Sink
    let level: Int
    let codingPath: [any CodingKey]
    private(set) var count = 0

    init(sink: Sink, level: Int, codingPath: [any CodingKey]) {
        self.sink = sink
        self.level = level
        self.codingPath = codingPath
    }

    private mutating func begin() {
        sink.begin(at: level)
        count += 1
    }

    mutating func encodeNil() {
        begin()
        sink.raw("null")
    }

    mutating func encode(_ value: some Encodable) throws {
        begin()
        try sink.encode(value, path: codingPath)
    }

    mutating func nestedContainer<Nested: CodingKey>(keyedBy type: Nested.Type) -> KeyedEncodingContainer<Nested> {
        begin()
        return ByteEncoder(sink: sink, codingPath: codingPath).container(keyedBy: type)
    }

    mutating func nestedUnkeyedContainer() -> any UnkeyedEncodingContainer {
        begin()
        return ByteEncoder(sink: sink, codingPath: codingPath).unkeyedContainer()
    }

    mutating func superEncoder() -> any Encoder {
        begin()
        return ByteEncoder(sink: sink, codingPath: codingPath)
    }
}

private struct Single: SingleValueEncodingContainer {
    let sink: Sink
    let codingPath: [any CodingKey]

    func encodeNil() { sink.raw("null") }
    func encode(_ value: Bool) { sink.raw(value ? "true" : "false") }
    func encode(_ value: String) { sink.quote(value) }
    func encode(_ value: Double) throws { try sink.number(value, path: codingPath) }
    func encode(_ value: Float) throws { try sink.number(Double(value), path: codingPath) }
    func encode(_ value: Int) { sink.raw(String(value)) }
    func encode(_ value: Int8) { sink.raw(String(value)) }
    func encode(_ value: Int16) { sink.raw(String(value)) }
    func encode(_ value: Int32) { sink.raw(String(value)) }
    func encode(_ value: Int64) { sink.raw(String(value)) }
    func encode(_ value: UInt) { sink.raw(String(value)) }
    func encode(_ value: UInt8) { sink.raw(String(value)) }
    func encode(_ value: UInt16) { sink.raw(String(value)) }
    func encode(_ value: UInt32) { sink.raw(String(value)) }
    func encode(_ value: UInt64) { sink.raw(String(value)) }
    func encode(_ value: some Encodable) throws { try sink.encode(value, path: codingPath) }
}
