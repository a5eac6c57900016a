import FoundationEssentials
import Model

/// A mail as bytes on the wire (RFC 5322): headers encoded after RFC 2047, the text in base64, so that no content can be
/// taken for a header, an end mark or a line too long.
enum MailFormat {
    /// A plain address without a display name: `local@domain`, visible ASCII, no spaces, quotes or brackets. So it cannot
    /// carry a second command or header.
    static func isAddress(_ text: String) -> Bool {
        guard text.utf8.count <= 254, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
            !text.contains(where: { "<>()[]\\,;:\"".contains($0) })
        else { return false }
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && !parts[0].isEmpty && parts[0].utf8.count <= 64 && parts[1].contains(".")
            && !parts[1].hasPrefix(".") && !parts[1].hasSuffix(".")
    }

    /// The whole mail with CRLF line ends, without the closing dot.
    static func bytes(_ message: Message, from: String, to: String, date: Timestamp) -> [UInt8] {
        let id = Identifier<Message>(message.id).description
        let domain = from.split(separator: "@").last.map(String.init) ?? "localhost"
        let headers = [
            "From: Sluice <\(from)>", "To: <\(to)>", "Subject: \(encoded(message.subject))", "Date: \(self.date(date))",
            "Message-ID: <\(id)@\(domain)>", "Auto-Submitted: auto-generated", "MIME-Version: 1.0",
            "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: base64",
        ]
        var text = headers.joined(separator: "\r\n") + "\r\n\r\n"
        var rest = Data(message.text.utf8).base64EncodedString()[...]
        while !rest.isEmpty {
            text += rest.prefix(76) + "\r\n"
            rest = rest.dropFirst(76)
        }
        return Array(text.utf8)
    }

    /// Encoded words of at most 75 characters, each with whole characters.
    static func encoded(_ text: String) -> String {
        if text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) && text.utf8.count <= 70 { return text }
        var words: [String] = []
        var part: [UInt8] = []
        for scalar in text.unicodeScalars {
            // Line breaks and controls have no place in a header.
            let bytes = Array(String(scalar.value < 0x20 ? " " : scalar).utf8)
            if part.count + bytes.count > 42 {
                words.append("=?utf-8?B?\(Data(part).base64EncodedString())?=")
                part = []
            }
            part += bytes
        }
        words.append("=?utf-8?B?\(Data(part).base64EncodedString())?=")
        return words.joined(separator: "\r\n ")
    }

    /// `Tue, 01 Jul 2026 08:30:00 +0000`
    static func date(_ time: Timestamp) -> String {
        let text = time.description
        let days = Int((Double(time.microseconds) / 86_400_000_000).rounded(.down))
        let date = CivilDate(daysSince1970: days)
        let weekday = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"][((days % 7) + 7) % 7]
        let month = [
            "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
        ][date.month - 1]
        let day = date.day < 10 ? "0\(date.day)" : "\(date.day)"
        let clock = text.dropFirst(11).prefix(8)
        return "\(weekday), \(day) \(month) \(date.year) \(clock) +0000"
    }
}
