import Testing

@testable import IntakeService
@testable import ServiceKit

@Suite("The OpenAPI document")
struct DocumentTests {
    @Test("says exactly what the routes do")
    func truth() async throws {
        let (router, document) = try await RunningIntake.shared().service.routes()
        #expect(document.differences(from: router).isEmpty)
    }
}
