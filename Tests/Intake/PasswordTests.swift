import Testing

@testable import IntakeService

@Suite("Passwords")
struct PasswordTests {
    private let quick = PasswordHash.Cost(logRounds: 10, blockSize: 8, parallelism: 1)

    @Test("a hash reads back and matches its password only")
    func matching() throws {
        let hash = try PasswordHash(password: "雨水 and sewage", salt: Array(0..<16), cost: quick)
        let read = try #require(PasswordHash(hash.text))
        #expect(read == hash)
        #expect(try read.matches("雨水 and sewage"))
        #expect(try !read.matches("雨水 and Sewage"))
        #expect(try !read.matches(""))
    }

    @Test("RFC 7914's test vector")
    func vector() throws {
        let hash = try PasswordHash(
            password: "pleaseletmein", salt: Array("SodiumChloride".utf8),
            cost: .init(logRounds: 14, blockSize: 8, parallelism: 1))
        #expect(hash.key.prefix(8).elementsEqual([0x70, 0x23, 0xBD, 0xCB, 0x3A, 0xFD, 0x73, 0x48]))
    }

    @Test(
        "a stored text that asks for the impossible is no hash",
        arguments: [
            "", "secret", "$scrypt$ln=40,r=8,p=1$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA",
            "$scrypt$ln=15,r=8$AAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAA", "$scrypt$ln=15,r=8,p=1$$",
            "$scrypt$ln=15,r=8,p=1$!!!!$????", "$2b$12$abc",
        ])
    func nonsense(text: String) { #expect(PasswordHash(text) == nil) }

    @Test("more than the queue holds are turned away at once, the others are served")
    func bounded() async throws {
        let thread = PasswordThread(capacity: 2)
        let hash = try PasswordHash(password: "x", salt: Array(0..<16), cost: quick)
        let outcomes = await withTaskGroup(of: Bool?.self) { group in
            for _ in 0..<40 {
                group.addTask { try? await thread.matches("x", hash) }
            }
            return await group.reduce(into: [Bool?]()) { $0.append($1) }
        }
        #expect(outcomes.contains(true))
        #expect(outcomes.allSatisfy { $0 != false })
    }
}
