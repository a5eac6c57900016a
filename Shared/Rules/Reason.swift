/// Why a rule decided as it did: a stable code for programs, a sentence for people in both languages.
public struct Reason: Codable, Hashable, Sendable {
    /// Lower-case words joined by `_`; never changes once released.
    public var code: String
    public var zh: String
    public var en: String

    public init(_ code: String, zh: String, en: String) {
        self.code = code
        self.zh = zh
        self.en = en
    }
}
