// swift-tools-version:6.2
import Foundation
import PackageDescription

// SLUICE_VARIANT=core builds only what touches C and threads (Postgres, AMQP, Outbox) and leaves the HTTP server
// out, so that the sanitizer builds stay small.
let isCore = ProcessInfo.processInfo.environment["SLUICE_VARIANT"] == "core"

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]

// MARK: - Shared rooms

var dependencies: [Package.Dependency] = [
    .package(url: "https://github.com/apple/swift-nio.git", from: "2.101.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl.git", from: "2.37.0"),
    .package(url: "https://github.com/apple/swift-log.git", from: "1.14.0"),
    .package(url: "https://github.com/apple/swift-metrics.git", from: "2.9.0"),
    .package(url: "https://github.com/apple/swift-collections.git", from: "1.4.0"),
    .package(url: "https://github.com/apple/swift-crypto.git", from: "4.1.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle.git", from: "2.9.0"),
]

let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let metrics: Target.Dependency = .product(name: "Metrics", package: "swift-metrics")
let lifecycle: Target.Dependency = .product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let nio: [Target.Dependency] = [
    .product(name: "NIOCore", package: "swift-nio"),
    .product(name: "NIOPosix", package: "swift-nio"),
    .product(name: "NIOConcurrencyHelpers", package: "swift-nio"),
]

func shared(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []) -> Target {
    .target(
        name: name, dependencies: dependencies, path: "Shared/\(name)", resources: resources, swiftSettings: settings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency], resources: [Resource] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: dependencies, path: "Tests/\(name)", resources: resources,
        swiftSettings: settings)
}

var targets: [Target] = [
    shared("Model"),
    shared("Rules", ["Model"]),
    .systemLibrary(name: "CLibPQ", path: "Shared/CLibPQ", pkgConfig: "libpq", providers: [.apt(["libpq-dev"])]),
    .systemLibrary(
        name: "CRabbitMQ", path: "Shared/CRabbitMQ", pkgConfig: "librabbitmq", providers: [.apt(["librabbitmq-dev"])]),
    shared(
        "Postgres",
        [
            "CLibPQ", logging, metrics, lifecycle, .product(name: "DequeModule", package: "swift-collections"),
        ]),
    shared(
        "AMQP",
        nio + [
            "CRabbitMQ", .product(name: "NIOSSL", package: "swift-nio-ssl"), logging, metrics, lifecycle,
            .product(name: "DequeModule", package: "swift-collections"),
        ]),
    shared("Outbox", nio + ["Model", "Rules", "Postgres", "AMQP", crypto, logging, metrics, lifecycle]),

    tests("Model", ["Model"]),
    tests("Rules", ["Rules", "Model"]),
    // Servers of the tests' own: processes that end with the test's, and that can be stopped for sure.
    .target(name: "PrivateProcesses", path: "Tests/PrivateProcesses", swiftSettings: settings),
    tests("Postgres", ["PrivateProcesses", "Postgres", logging]),
    tests("AMQP", ["PrivateProcesses", "AMQP", logging, lifecycle] + nio),
    tests("Outbox", ["PrivateProcesses", "Outbox", "Model", "Postgres", "AMQP", logging, lifecycle] + nio),
]

// MARK: - Services

/// A service is a library (so that tests build the same application) and a `main` that only parses and calls.
func service(_ folder: String, executable: String, _ extra: [Target.Dependency] = []) -> [Target] {
    let library = "\(folder)Service"
    return [
        .target(
            name: library,
            dependencies: ["Model", "Rules", "Postgres", "AMQP", "Outbox", "ServiceKit", hummingbird, logging, metrics]
                + extra,
            path: "Services/\(folder)", exclude: ["Main"], swiftSettings: settings),
        .executableTarget(
            name: executable, dependencies: [.byName(name: library), "ServiceKit"], path: "Services/\(folder)/Main",
            swiftSettings: settings),
    ]
}

let hummingbird: Target.Dependency = .product(name: "Hummingbird", package: "hummingbird")

if !isCore {
    dependencies += [
        .package(url: "https://github.com/hummingbird-project/hummingbird.git", from: "2.20.0", traits: []),
        .package(url: "https://github.com/swift-server/async-http-client.git", from: "1.30.0", traits: []),
        .package(url: "https://github.com/apple/swift-argument-parser.git", from: "1.6.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess.git", from: "1.0.0"),
    ]
    let cryptoExtras: Target.Dependency = .product(name: "CryptoExtras", package: "swift-crypto")
    let httpClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
    let subprocess: Target.Dependency = .product(name: "Subprocess", package: "swift-subprocess")
    let arguments: Target.Dependency = .product(name: "ArgumentParser", package: "swift-argument-parser")

    targets += [
        shared(
            "ServiceKit",
            nio + [
                "Model", "Rules", "Postgres", "AMQP", "Outbox", hummingbird, crypto, logging, metrics, lifecycle,
            ]),
        shared(
            "Pictures",
            ["Model", "ServiceKit", hummingbird, crypto, logging, metrics, lifecycle, subprocess]),
        shared("Schema", ["Postgres", logging], resources: [.copy("migrations")]),
    ]
    targets += service("Intake", executable: "sluice-intake", ["Pictures", crypto, cryptoExtras])
    targets += service("Dispatch", executable: "sluice-dispatch", ["Pictures"])
    targets += service("GISSync", executable: "sluice-gis-sync")
    targets += service("Scoring", executable: "sluice-scoring")
    targets += service(
        "Notification", executable: "sluice-notification",
        [
            crypto, httpClient, .product(name: "NIOSSL", package: "swift-nio-ssl"),
            .product(name: "NIOCore", package: "swift-nio"), .product(name: "NIOPosix", package: "swift-nio"),
            .product(name: "NIOTLS", package: "swift-nio"),
        ])
    targets += [
        .target(
            name: "ControlCommands",
            dependencies: [
                "Model", "Rules", "Postgres", "AMQP", "Outbox", "Schema", "ServiceKit", "IntakeService",
                "GISSyncService", "ScoringService", "NotificationService", arguments, httpClient, logging, crypto,
            ],
            path: "Services/Control", exclude: ["Main"], resources: [.copy("Sample")], swiftSettings: settings),
        .executableTarget(
            name: "sluicectl", dependencies: ["ControlCommands", arguments], path: "Services/Control/Main",
            swiftSettings: settings),
        // A private PostgreSQL and a service's context on it, for the tests of several targets.
        .target(
            name: "PrivateServers", dependencies: ["Model", "Postgres", "Schema", "ServiceKit", logging],
            path: "Tests/PrivateServers", swiftSettings: settings),
        // Pictures made byte by byte, for the tests of several targets.
        .target(name: "HandmadePictures", path: "Tests/HandmadePictures", swiftSettings: settings),
        tests("ServiceKit", ["ServiceKit", "Model", .product(name: "HummingbirdTesting", package: "hummingbird")]),
        tests("Pictures", ["HandmadePictures", "Pictures", "ServiceKit", "Model", logging]),
        tests(
            "Intake",
            [
                "PrivateServers", "HandmadePictures", "IntakeService", "Pictures", "ServiceKit", "Model", "Rules",
                "Schema", "Postgres", crypto,
                logging, httpClient,
            ]),
        tests(
            "Dispatch",
            [
                "PrivateServers", "HandmadePictures", "DispatchService", "Pictures", "ServiceKit", "Model", "Rules",
                "Outbox", "Postgres", "Schema",
                logging,
                .product(name: "HummingbirdTesting", package: "hummingbird"),
            ]),
        tests("GISSync", ["PrivateServers", "GISSyncService", "Schema", "Rules", "ServiceKit", "Model", "Postgres"]),
        tests("Scoring", ["PrivateServers", "ScoringService", "Schema", "ServiceKit", "Model", "Outbox", "Postgres"]),
        tests(
            "Notification",
            [
                "PrivateServers", "NotificationService", "ServiceKit", "Model", "Outbox", "Postgres", crypto,
                hummingbird,
                .product(name: "HummingbirdTesting", package: "hummingbird"),
            ]),
        tests("Control", ["PrivateServers", "ControlCommands", "Schema", "ServiceKit", "Model", "Postgres", logging]),
        tests("Contracts", ["PrivateServers", "Model", "Schema", "ServiceKit", "Outbox", "AMQP", "Postgres"]),
    ]
}

let package = Package(name: "sluice", platforms: [.macOS(.v15)], dependencies: dependencies, targets: targets)
