/// A value that no log, error or debugger dump shows.
public struct Secret: Sendable, Hashable, ExpressibleByStringLiteral {
    /// The text itself; ask for it only where it leaves the process.
    public let value: String

    public init(_ value: String) { self.value = value }
    public init(stringLiteral value: String) { self.value = value }
}

extension Secret: CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    public var description: String { "***" }
    public var debugDescription: String { "***" }
    public var customMirror: Mirror { Mirror(self, children: []) }
}
