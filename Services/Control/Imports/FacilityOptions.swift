internal import ArgumentParser
internal import FoundationEssentials
internal import GISSyncService
internal import Model

/// Which property of a file of facilities holds what.
struct FacilityOptions: ParsableArguments {
    @Option(help: "Code of the district that the facilities belong to.")
    var district: String?

    @Option(help: "A JSON file with source, kind, system, id, diameterMillimetres and so on.")
    var profile: String?

    @Option(help: "Name of the source, such as a survey.")
    var source: String?

    @Option(help: "storm, sewage or combined.")
    var system: PipeSystem?

    @Option(help: "The property that identifies a feature.")
    var id: String?

    @Option(help: "The property with the diameter in millimetres.")
    var diameter: String?

    @Option(help: "The property with the length in metres.")
    var length: String?

    @Option(help: "The property with the upstream node.")
    var upNode: String?

    @Option(help: "The property with the downstream node.")
    var downNode: String?

    @Option(help: "The property with the upstream invert in metres.")
    var upInvert: String?

    @Option(help: "The property with the downstream invert in metres.")
    var downInvert: String?

    @Option(help: "The property with the material.")
    var material: String?

    /// That one of them was given, where none has a meaning.
    var areGiven: Bool {
        system != nil
            || [
                district, profile, source, id, diameter, length, upNode, downNode, upInvert, downInvert, material,
            ].contains { $0 != nil }
    }

    func check(hasKind: Bool) throws {
        guard district != nil else { throw ValidationError("give --district, whose facilities these are") }
        guard profile != nil || (source != nil && hasKind && id != nil) else {
            throw ValidationError("give --profile, or --source, --kind and --id")
        }
        if let source, !ImportProfile.isSource(source) { throw ValidationError("--source has 1 to 64 characters") }
    }

    func readProfile(_ kind: FacilityKind?) throws -> ImportProfile {
        if let profile {
            guard let data = try? Data(contentsOf: URL(filePath: profile)) else {
                throw CommandFailure("\(profile) cannot be read")
            }
            do {
                return try JSONDecoder().decode(ImportProfile.self, from: data)
            } catch {
                throw CommandFailure("\(profile) is no import profile: it needs source, kind and id")
            }
        }
        guard let source, let kind, let id else { throw CommandFailure("source, kind and id are needed") }
        return ImportProfile(
            source: source, kind: kind, system: system, id: id, diameterMillimetres: diameter, lengthMetres: length,
            upNode: upNode, downNode: downNode, upInvertMetres: upInvert, downInvertMetres: downInvert,
            material: material)
    }
}
