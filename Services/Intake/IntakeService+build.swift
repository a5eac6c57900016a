public import Hummingbird
import Logging
import Model
import Outbox
import Pictures
import Postgres
public import ServiceKit
import ServiceLifecycle

/// intake: what people say, how they follow it, their photos; accounts and sign-in.
public struct IntakeService: Sendable {
    let context: ServiceContext
    let settings: IntakeSettings
    let cache: CityCache
    let keyring: KeyringLoader
    let keys: SigningKeys
    let master: MasterKey
    private let photoFolder: String
    /// Where pictures are; tests put one that fails in its place.
    var blobs: any BlobStore
    /// Of what is done for names that nobody has; tests lower it.
    var passwordCost = PasswordHash.Cost.standard
    /// Tests lower them.
    var limits = SenderLimits()
    /// For how long a report's answer waits that one of its photos has its turn.
    var photoPatience: Duration = .seconds(3)

    /// Throws `ConfigurationErrors` for settings of intake's own that are wrong.
    public init(_ context: ServiceContext) throws {
        guard let bytes = context.configuration.masterKeyBytes, let master = MasterKey(bytes) else {
            throw KeyringError.noMasterKey
        }
        self.context = context
        self.settings = try IntakeSettings(context.configuration)
        self.master = master
        self.photoFolder = context.configuration.attachmentsDirectory ?? "."
        self.blobs = DiskBlobStore(root: photoFolder)
        self.cache = CityCache(database: context.background, logger: context.logger)
        self.keyring = KeyringLoader(master: master, database: context.background, logger: context.logger)
        self.keys = SigningKeys(
            issuer: context.configuration.publicURL, master: master, database: context.background,
            now: context.sources.now, logger: context.logger)
    }

    /// The routes with their description. Tests build the same.
    public func routes() -> (router: Router<APIContext>, document: OpenAPIDocument) {
        let router = Router(context: APIContext.self)
        var document = OpenAPIDocument(
            service: .intake, title: "Sluice intake", summary: "Reports, photos, tracking, accounts, sign-in")
        let track = TrackReport(store: ReportStore(database: context.http), cache: cache, keyring: keyring)
        let attachments = AttachmentStore(database: context.http)
        let passwords = PasswordThread(capacity: 32, cost: passwordCost)
        ReportRoutes(
            receive: receive(), track: track, photos: uploads(track, attachments), limits: limits,
            now: context.sources.now
        ).register(router, &document)
        AttachmentRoutes(
            store: attachments, pictures: PictureAnswer(from: blobs), track: track, cache: cache, limits: limits,
            now: context.sources.now
        ).register(router, &document)
        SessionRoutes(signIn: signIn(passwords), limits: limits, database: context.http).register(router, &document)
        AccountRoutes(
            manage: ManageAccounts(database: context.http, passwords: passwords, sources: context.sources),
            keyring: keyring
        ).register(router, &document)
        ContactRoutes(
            store: ContactStore(database: context.http), eraser: ErasePerson(database: context.http, master: master),
            master: master, sources: context.sources
        ).register(router, &document)
        return (router, document)
    }

    /// Serves until the process is told to stop.
    public func serve() async throws {
        let (router, document) = routes()
        addHealthChecks()
        try await ServiceKit.serve(
            context, router: router, document: document, services: services(),
            views: [
                "dispatch.api_category", "dispatch.api_report_state", "dispatch.api_case",
                "dispatch.api_case_timeline", "gis.api_place", "gis.api_facility",
            ])
    }

    // MARK: - Parts

    func services() -> [any Service] {
        let canary: [any Service] =
            settings.canaryRate > 0
            ? [
                Canary(
                    rate: settings.canaryRate, budget: settings.budget, database: context.lane,
                    messaging: context.messaging, logger: context.logger
                ).stopping(in: .work, name: "canary").inLane()
            ] : []
        return canary + [
            cache.stopping(in: .work, name: "city"), keyring.stopping(in: .work, name: "keyring"),
            keys.stopping(in: .work, name: "signing keys"),
            Housekeeping(database: context.background, logger: context.logger)
                .stopping(in: .work, name: "housekeeping"),
            sweep.stopping(in: .work, name: "photo sweep"),
        ]
    }

    var sweep: PictureSweep {
        let photos = AttachmentStore(database: context.background)
        return PictureSweep(
            of: blobs, now: context.sources.now, logger: context.logger, named: photos.named)
    }

    private func receive() -> ReceiveReport {
        let flow = context.flow
        return ReceiveReport(
            cache: cache, budget: settings.budget, limits: limits,
            admission: AdmissionGate(
                maximum: settings.routineMaximum, floor: settings.routineFloor, share: { flow.share }),
            keyring: keyring, master: master, messaging: context.messaging, sources: context.sources,
            publicURL: context.configuration.publicURL, logger: context.logger, database: context.http,
            together: GroupCommit(context.http), lane: context.lane)
    }

    private func uploads(_ track: TrackReport, _ attachments: AttachmentStore) -> PhotoUploads {
        PhotoUploads(
            keep: KeepPhoto(
                attachments: attachments,
                pictures: PictureTaker(
                    blobs: blobs, zoneMinutes: settings.cameraZoneMinutes, logger: context.logger)),
            patience: photoPatience, track: track,
            reader: PhotoReader(folder: photoFolder, logger: context.logger), sources: context.sources)
    }

    private func signIn(_ passwords: PasswordThread) -> SignIn {
        SignIn(
            accounts: AccountStore(database: context.http), sessions: SessionStore(database: context.http),
            passwords: passwords, keys: keys, keyring: keyring, external: settings.external,
            sources: context.sources, logger: context.logger)
    }

    private func addHealthChecks() {
        let cache = cache
        let keyring = keyring
        let keys = keys
        context.health.add(
            HealthCheck("city") { cache.isReady ? .ok : .failed("catalogue or map not read yet, or empty") })
        context.health.add(
            HealthCheck("keyring") { keyring.failure.map { .failed($0) } ?? .ok })
        // Reports need none: they are taken meanwhile.
        context.health.add(
            HealthCheck("signing keys") {
                keys.isReady ? .ok : .degraded("no key may sign yet: sign-in and refresh answer 503")
            })
    }
}
