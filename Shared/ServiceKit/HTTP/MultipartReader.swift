/// Reads multipart/form-data (RFC 7578) as it arrives, whatever the pieces it comes in. A pure state machine: bytes in,
/// events out; it holds no more than a part's header or a boundary's length. What breaks the rules ends it.
public struct MultipartReader {
    enum Event: Hashable {
        case begin(Part)
        case data([UInt8])
        case end
    }

    public struct Part: Hashable, Sendable {
        public var name: String
        public var fileName: String?
        /// In lower case, without parameters; `text/plain` if it does not say.
        public var contentType: String
    }

    enum Failure: Error, Hashable {
        case malformed
        case headerTooLarge
        case tooManyParts
        /// The body ended before its last boundary.
        case truncated
    }

    private enum State {
        case preamble, header, body, finished
    }

    static let headerLimit = 8_192
    static let partLimit = 16

    private let delimiter: [UInt8]
    private var state = State.preamble
    private var buffer: [UInt8] = []
    private var parts = 0

    /// - Parameter boundary: from the content type; nil if it can't be one.
    init?(boundary: String) {
        guard (1...70).contains(boundary.utf8.count), boundary.utf8.allSatisfy({ (0x20...0x7E).contains($0) }),
            boundary.utf8.last != 0x20
        else { return nil }
        self.delimiter = Array("\r\n--\(boundary)".utf8)
        // The first boundary may stand at the very beginning: as if a line break came before.
        self.buffer = Array("\r\n".utf8)
    }

    /// The boundary that a content type names.
    static func boundary(of contentType: String) -> String? {
        var rest = contentType.utf8.split(separator: UInt8(ascii: ";")).dropFirst()
        while let parameter = rest.popFirst() {
            guard let text = String(Substring(parameter)).trimmingBlanks().takingPrefix("boundary=") else { continue }
            if text.hasPrefix("\""), text.hasSuffix("\""), text.utf8.count >= 2 {
                return String(text.dropFirst().dropLast())
            }
            return text
        }
        return nil
    }

    mutating func feed(_ bytes: some Collection<UInt8>) throws(Failure) -> [Event] {
        buffer.append(contentsOf: bytes)
        var events: [Event] = []
        while try step(&events) {}
        return events
    }

    /// To be called at the end of the body.
    func finish() throws(Failure) {
        guard state == .finished else { throw .truncated }
    }

    // MARK: - Steps; each answers whether another may follow

    private mutating func step(_ events: inout [Event]) throws(Failure) -> Bool {
        switch state {
        case .preamble:
            guard let found = buffer.firstRange(of: delimiter, from: 0) else {
                keepTail()
                return false
            }
            return try passBoundary(at: found)
        case .header:
            return try readHeader(&events)
        case .body:
            guard let found = buffer.firstRange(of: delimiter, from: 0) else {
                let safe = buffer.count - delimiter.count
                if safe > 0 {
                    events.append(.data(Array(buffer[..<safe])))
                    buffer.removeFirst(safe)
                }
                return false
            }
            let tail = found + delimiter.count
            // Two more bytes tell whether it was the last one; until they are here nothing is decided.
            guard buffer.count >= tail + 2 else { return false }
            if found > 0 { events.append(.data(Array(buffer[..<found]))) }
            events.append(.end)
            return try passBoundary(at: found)
        case .finished:
            buffer.removeAll(keepingCapacity: false)
            return false
        }
    }

    private mutating func passBoundary(at start: Int) throws(Failure) -> Bool {
        let tail = start + delimiter.count
        guard buffer.count >= tail + 2 else { return false }
        switch (buffer[tail], buffer[tail + 1]) {
        case (UInt8(ascii: "-"), UInt8(ascii: "-")):
            state = .finished
            buffer.removeAll(keepingCapacity: false)
            return false
        case (0x0D, 0x0A):
            parts += 1
            if parts > Self.partLimit { throw .tooManyParts }
            buffer.removeFirst(tail + 2)
            state = .header
            return true
        default:
            throw .malformed
        }
    }

    private mutating func readHeader(_ events: inout [Event]) throws(Failure) -> Bool {
        let end = Array("\r\n\r\n".utf8)
        guard let found = buffer.firstRange(of: end, from: 0) else {
            if buffer.count > Self.headerLimit { throw .headerTooLarge }
            return false
        }
        guard found <= Self.headerLimit, let text = String(validating: buffer[..<found], as: UTF8.self) else {
            throw .malformed
        }
        events.append(.begin(try Self.part(text)))
        // The line break before the next boundary may be the one that ends the header: an empty part.
        buffer.removeFirst(found + 2)
        state = .body
        if buffer.starts(with: delimiter) { return true }
        buffer.removeFirst(2)
        return true
    }

    private mutating func keepTail() {
        let surplus = buffer.count - delimiter.count
        if surplus > 0 { buffer.removeFirst(surplus) }
    }

    private static func part(_ header: String) throws(Failure) -> Part {
        var name: String?
        var fileName: String?
        var contentType = "text/plain"
        for line in header.split(separator: "\r\n") {
            let sides = line.split(separator: ":", maxSplits: 1)
            guard sides.count == 2 else { throw .malformed }
            switch sides[0].lowercased() {
            case "content-disposition":
                let disposition = parameters(String(sides[1]))
                guard disposition.value == "form-data" else { throw .malformed }
                name = disposition.parameters["name"]
                fileName = disposition.parameters["filename"]
            case "content-type":
                contentType = parameters(String(sides[1])).value
            default: break
            }
        }
        guard let name, !name.isEmpty, name.utf8.count <= 100 else { throw .malformed }
        return Part(name: name, fileName: fileName, contentType: contentType)
    }

    /// `form-data; name="photo"; filename="a;b.jpg"`, with quotes and escapes as browsers write them.
    private static func parameters(_ text: String) -> (value: String, parameters: [String: String]) {
        var fields: [String] = [""]
        var isQuoted = false
        var isEscaped = false
        for character in text {
            if isEscaped {
                fields[fields.count - 1].append(character)
                isEscaped = false
            } else if isQuoted, character == "\\" {
                isEscaped = true
            } else if character == "\"" {
                isQuoted.toggle()
            } else if character == ";", !isQuoted {
                fields.append("")
            } else {
                fields[fields.count - 1].append(character)
            }
        }
        var parameters: [String: String] = [:]
        for field in fields.dropFirst() {
            let sides = field.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard sides.count == 2 else { continue }
            parameters[String(sides[0]).trimmingBlanks().lowercased()] = String(sides[1])
        }
        return (fields[0].trimmingBlanks().lowercased(), parameters)
    }
}

extension String {
    func takingPrefix(_ prefix: String) -> String? {
        lowercased().hasPrefix(prefix) ? String(dropFirst(prefix.count)) : nil
    }
}

extension [UInt8] {
    /// Where the pattern first begins, at or after `from`.
    func firstRange(of pattern: [UInt8], from start: Int) -> Int? {
        guard let first = pattern.first, count >= pattern.count else { return nil }
        var position = start
        let last = count - pattern.count
        while position <= last {
            guard let next = self[position...last].firstIndex(of: first) else { return nil }
            if self[next..<(next + pattern.count)].elementsEqual(pattern) { return next }
            position = next + 1
        }
        return nil
    }
}
