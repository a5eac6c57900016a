/// Everything that is wrong with the settings, all at once. Names and rules only: a value may be a secret in the wrong
/// place.
public struct ConfigurationErrors: Error, Sendable, Hashable, CustomStringConvertible {
    public struct Item: Sendable, Hashable {
        /// The setting's name.
        public var name: String
        /// What is wrong, and what is allowed.
        public var detail: String

        public init(_ name: String, _ detail: String) {
            self.name = name
            self.detail = detail
        }
    }

    public var items: [Item]

    public init(items: [Item]) { self.items = items }

    public var description: String {
        items.map { "\($0.name): \($0.detail)" }.joined(separator: "\n")
    }
}
