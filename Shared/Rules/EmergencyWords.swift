/// Finds the words of a catalogue in what a person wrote. Chinese words match anywhere, since Chinese has no word
/// borders; words of letters match whole words only ("gas" is not in "gasket"). Case and full-width forms don't count.
public struct EmergencyWords: Sendable, Hashable {
    /// One word as the catalogue writes it, and as it is compared.
    private struct Entry: Sendable, Hashable {
        var original: String
        var folded: [Unicode.Scalar]
        var isWholeWord: Bool
    }

    private var entries: [Entry]

    public init(_ words: [String]) {
        self.entries = words.compactMap { word in
            let folded = Self.fold(word)
            guard !folded.isEmpty else { return nil }
            return Entry(
                original: word, folded: folded,
                isWholeWord: folded.allSatisfy { Self.isLatin($0) || $0 == " " || $0 == "-" || $0 == "'" })
        }
    }

    public var isEmpty: Bool { entries.isEmpty }

    /// The first word of the catalogue that the text has and does not deny, as the catalogue writes it.
    ///
    /// A word counts as denied only if the denial stands right before it ("无人被困", "nobody is trapped"): to take a
    /// report for urgent that is not costs a visit, the other error may cost a life.
    public func firstMatch(in text: String) -> String? {
        guard !entries.isEmpty, !text.isEmpty else { return nil }
        let scalars = Self.fold(text)
        for entry in entries where Self.occurs(entry.folded, wholeWord: entry.isWholeWord, in: scalars) {
            return entry.original
        }
        return nil
    }

    // MARK: - Matching

    private static func occurs(_ word: [Unicode.Scalar], wholeWord: Bool, in text: [Unicode.Scalar]) -> Bool {
        guard text.count >= word.count else { return false }
        for start in 0...(text.count - word.count) where text[start] == word[0] {
            let end = start + word.count
            guard text[start..<end].elementsEqual(word) else { continue }
            if wholeWord {
                if start > 0, isLatin(text[start - 1]) { continue }
                if end < text.count, isLatin(text[end]) { continue }
            }
            if !isDenied(before: start, in: text) { return true }
        }
        return false
    }

    private static let chineseDenials = ["没有人", "没有", "没人", "无人", "并未", "并无", "未见"].map { Array($0.unicodeScalars) }
    private static let englishDenials: Set<String> = [
        "no", "not", "nobody", "none", "never", "without", "isn't", "aren't",
    ]
    private static let englishLinks: Set<String> = ["is", "are", "was", "were", "been", "one"]

    private static func isDenied(before start: Int, in text: [Unicode.Scalar]) -> Bool {
        for denial in chineseDenials
        where start >= denial.count && text[(start - denial.count)..<start].elementsEqual(denial) {
            return true
        }
        // "no", "not", "nobody", and across "is", "are", "one": "no one is trapped".
        var end = start
        for _ in 0..<3 {
            guard let word = wordEnding(at: &end, in: text) else { return false }
            if englishDenials.contains(word) { return true }
            if !englishLinks.contains(word) { return false }
        }
        return false
    }

    /// The word of letters that ends before `end` with nothing but spaces between; moves `end` to its start.
    private static func wordEnding(at end: inout Int, in text: [Unicode.Scalar]) -> String? {
        var last = end
        while last > 0, text[last - 1] == " " { last -= 1 }
        var first = last
        while first > 0, isLatin(text[first - 1]) || text[first - 1] == "'" { first -= 1 }
        guard first < last else { return nil }
        end = first
        var word = String.UnicodeScalarView()
        word.append(contentsOf: text[first..<last])
        return String(word)
    }

    private static func isLatin(_ scalar: Unicode.Scalar) -> Bool {
        scalar.properties.isAlphabetic && scalar.value < 0x0250 || ("0"..."9").contains(scalar)
    }

    /// Lower case; full-width letters and digits as their ordinary forms; every white space as one space.
    private static func fold(_ text: String) -> [Unicode.Scalar] {
        var folded: [Unicode.Scalar] = []
        folded.reserveCapacity(text.unicodeScalars.count)
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x41...0x5A:
                folded.append(Unicode.Scalar(UInt8(scalar.value + 32)))
            case 0xFF01...0xFF5E:
                let ascii = UInt8(scalar.value - 0xFEE0)
                folded.append(Unicode.Scalar((0x41...0x5A).contains(ascii) ? ascii + 32 : ascii))
            case 0x2019:
                folded.append("'")
            case 0x80...:
                if scalar.properties.isWhitespace {
                    if folded.last != " " { folded.append(" ") }
                } else {
                    folded.append(contentsOf: scalar.properties.lowercaseMapping.unicodeScalars)
                }
            default:
                if scalar.properties.isWhitespace {
                    if folded.last != " " { folded.append(" ") }
                } else {
                    folded.append(scalar)
                }
            }
        }
        return folded
    }
}
