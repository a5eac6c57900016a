public import Logging
import Model

/// Writes one JSON line a record: `time`, `level`, `service`, `instance`, `logger`, `message`, and the metadata. What is
/// named like a secret is not shown.
public struct JSONLogHandler: LogHandler {
    public var logLevel: Logger.Level
    public var metadata: Logger.Metadata = [:]
    public var metadataProvider: Logger.MetadataProvider?

    private let label: String
    private let service: String
    private let instance: String
    private let now: @Sendable () -> Timestamp
    private let sink: @Sendable ([UInt8]) -> Void

    init(
        label: String, service: String, instance: String, level: Logger.Level,
        now: @escaping @Sendable () -> Timestamp, sink: @escaping @Sendable ([UInt8]) -> Void
    ) {
        self.label = label
        self.service = service
        self.instance = instance
        self.logLevel = level
        self.now = now
        self.sink = sink
    }

    public subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    public func log(event: LogEvent) {
        var writer = JSONWriter(capacity: 384)
        writer.object { line in
            line.field("time", now().description)
            line.field("level", event.level.rawValue)
            line.field("service", service)
            line.field("instance", instance)
            line.field("logger", label)
            line.field("message", Self.bounded(event.message.description))
            if let error = event.error { line.field("error", Self.bounded("\(error)")) }
            var all = metadataProvider?.get() ?? [:]
            all.merge(metadata) { $1 }
            if let more = event.metadata { all.merge(more) { $1 } }
            for (key, value) in all.sorted(by: { $0.key < $1.key }) where key != "hb.request.id" {
                line.field(key, Self.isSecret(key) ? "***" : Self.bounded(value.description))
            }
        }
        sink(writer.bytes + [0x0A])
    }

    /// One line stays one write, and nobody fills the disk with one message.
    private static func bounded(_ text: String) -> String {
        text.utf8.count <= 2_000 ? text : String(text.prefix(1_000)) + "…"
    }

    static func isSecret(_ key: String) -> Bool {
        let name = key.lowercased()
        return ["password", "secret", "token", "authorization", "cookie", "master", "private", "device", "signature"]
            .contains { name.contains($0) }
    }
}
