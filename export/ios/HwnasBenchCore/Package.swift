// swift-tools-version:5.7
import PackageDescription

// What the app does apart from Apple's frameworks, so that it is tested wherever Swift is:
// swift test --package-path export/ios/HwnasBenchCore
let package = Package(
    name: "HwnasBenchCore",
    targets: [
        .target(name: "HwnasBenchCore"),
        .testTarget(
            name: "HwnasBenchCoreTests",
            dependencies: ["HwnasBenchCore"],
            exclude: ["Fixtures"]
        ),
    ]
)
