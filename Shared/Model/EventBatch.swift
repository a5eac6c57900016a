/// The batched form of CloudEvents 1.0: a JSON array of events. Only taken apart and put together here; each event is
/// read for itself, so that one that is nonsense harms none of the others.
public enum EventBatch {
    public static let contentType = "application/cloudevents-batch+json"

    public static func join(_ events: [[UInt8]]) -> [UInt8] {
        var bytes: [UInt8] = [UInt8(ascii: "[")]
        bytes.reserveCapacity(events.reduce(2) { $0 + $1.count + 1 })
        for (index, event) in events.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: ",")) }
            bytes.append(contentsOf: event)
        }
        bytes.append(UInt8(ascii: "]"))
        return bytes
    }

    /// The bytes of each event, as they stand. Nil if the text is not an array of objects.
    public static func split(_ bytes: [UInt8]) -> [[UInt8]]? {
        bytes.withUnsafeBufferPointer { buffer in
            var scanner = JSONScan(buffer)
            var events: [[UInt8]] = []
            guard scanner.take("[") else { return nil }
            if !scanner.take("]") {
                repeat {
                    guard let range = scanner.object() else { return nil }
                    events.append(Array(buffer[range]))
                } while scanner.take(",")
                guard scanner.take("]") else { return nil }
            }
            return scanner.isAtEnd ? events : nil
        }
    }
}
