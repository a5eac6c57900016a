extension MessageProperties {
    /// The header that tells returns apart when the caller gave no message id.
    static let returnKeyHeader = "x-publish-number"

    /// What a returned message is known by.
    var returnKey: String {
        messageID ?? headers[Self.returnKeyHeader]?.intValue.map { "#\($0)" } ?? ""
    }

    /// Makes sure that there is something to know a returned message by.
    func withReturnKey(_ number: UInt64) -> MessageProperties {
        guard messageID == nil else { return self }
        var properties = self
        properties.headers[Self.returnKeyHeader] = .int(Int64(clamping: number))
        return properties
    }
}
