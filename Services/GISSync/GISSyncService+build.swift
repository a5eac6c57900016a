public import Hummingbird
import Logging
import Model
import Outbox
public import ServiceKit

/// gis-sync: the register of areas and facilities, imports, and "what is here?".
public struct GISSyncService: Sendable {
    let context: ServiceContext
    let importer: FeatureImporter

    public init(_ context: ServiceContext) {
        self.context = context
        self.importer = FeatureImporter(
            database: context.background, messaging: context.messaging, flow: context.flow)
    }

    /// The routes with their description. Tests build the same.
    public func routes() -> (router: Router<APIContext>, document: OpenAPIDocument) {
        let router = Router(context: APIContext.self)
        var document = OpenAPIDocument(
            service: .gisSync, title: "Sluice gis-sync",
            summary: "The register: communities, grids, responsibility, facilities, imports")
        PlaceRoutes(database: context.http).register(on: router, in: &document)
        AreaRoutes(database: context.http).register(on: router, in: &document)
        FacilityRoutes(database: context.http).register(on: router, in: &document)
        ImportRoutes(
            database: context.http, background: context.background, importer: importer, sources: context.sources
        ).register(on: router, in: &document)
        return (router, document)
    }

    /// Serves until the process is told to stop.
    public func serve() async throws {
        let (router, document) = routes()
        let worker = ImportWorker(importer: importer, database: context.background, logger: context.logger)
        try await ServiceKit.serve(
            context, router: router, document: document,
            services: [worker.stopping(in: .work, name: "imports")],
            views: ["intake.api_jwks", "intake.api_revocation"])
    }
}
