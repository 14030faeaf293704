import UIKit

// Not @main: that asks for a later system than this app does.
_ = UIApplicationMain(
    CommandLine.argc, CommandLine.unsafeArgv, nil, NSStringFromClass(AppDelegate.self))
