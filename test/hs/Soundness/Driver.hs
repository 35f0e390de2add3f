-- Builds the soundness test with the flag checking (in build/checking) and runs it under each number of
-- capabilities and each garbage collector; then against a ring that is broken on purpose, which must fail.
-- The same, in fewer ways, in a build where rare paths are common (flag hard, in build/hard), there with a
-- budget of one byte, too; but not with the non-moving collector, which breaks where it is begun all the time
-- (Lost.hs, Migrate.hs).
module Soundness.Driver (main) where

import Data.List (isInfixOf, isPrefixOf)
import Data.Version (versionBranch)
import System.Info (fullCompilerVersion)

import InPlace

main :: IO ()
main = report $
  [ (title checking ["builds"], built checking) ] ++
  [ (title checking [capabilities, collector], churn checking 6 [] [capabilities, collector])
  | capabilities <- ["-N1", "-N2", "-N4", "-N8"], collector <- [sequential, parallel, nonMoving] ] ++
  [ (title checking ["control fails", collector], control checking collector)
  | collector <- [sequential, parallel, nonMoving] ] ++
  [ (title hard ["builds"], built hard) ] ++
  [ (title hard (args ++ options), churn hard 6 args options)
  | (options, ways) <- [(["-N2", sequential], [[], pressed])
                       , (["-N4", parallel], [[], pressed]), (["-N4", nonMoving], [[]])], args <- ways ]
  where pressed = ["--pressure"]

-- | A name, for its directory too, and cabal's flags.
data Build = Build String String

checking, hard :: Build
checking = Build "checking" "checking"
hard = Build "hard" "checking hard"

-- | Options of the runtime system. The parallel collector is what it has unless told otherwise.
sequential, parallel, nonMoving :: String
sequential = "-qg"
parallel = "-qg0"
nonMoving = "-xn"

title :: Build -> [String] -> String
title (Build name _) what = unwords ("soundness" : [name | name /= "checking"] ++ what)

cabal :: Build -> String -> IO (Problem, String)
cabal (Build name flags) command =
  output 3600 "tools/cabal"
    [command, "--builddir=build/" ++ name, "--enable-tests", "--flags=" ++ flags, "test:soundness"] ""

built :: Build -> IO Problem
built b = fst <$> cabal b "build"

-- | Some seconds of everything at once. The small nursery makes for many collections.
--
-- setNumCapabilities can hang with any allocator (GHC 9.0; seen once with 9.6 and the non-moving collector):
-- then the test is run again, and a hang of ours would come again. With the non-moving collector the number
-- stays as it is: GHC takes threads for dead where it changes there, and what they hold is finalized
-- (Migrate.hs). And in GHC 9.0 some finalizers run only at exit then. Later versions now and then finalize
-- with it what is in use, base's own, too (Lost.hs): so what loses its pattern there is tried again, and
-- would do so again if it were ours.
churn :: Build -> Int -> [String] -> [String] -> IO Problem
churn b seconds args options = go (5 :: Int)
  where
    go tries = do
      (problem, _) <- start b (show seconds : args
        ++ [ "--finalizers-late" | old, nonMoving `elem` options ]) options
      case problem of
        Just why | tries > 1, "exit status 75:" `isPrefixOf` why || lostByGhc why -> go (tries - 1)
        _ -> pure problem
    old = versionBranch fullCompilerVersion < [9, 2]
    lostByGhc why = not old && nonMoving `elem` options && "lost its pattern" `isInfixOf` why

-- | The test must see what it is there to see, and ends then: that two calls were in one heap at once (status
-- 3), or a crash that came of it.
control :: Build -> String -> IO Problem
control b collector = do
  (problem, said) <- start b ["600", "--broken"] ["-N4", collector]
  pure $ case problem of
    Just why | "exit status 3:" `isPrefixOf` why || "signal " `isInfixOf` takeWhile (/= ':') why -> Nothing
             | otherwise -> problem
    Nothing -> Just ("the broken ring passed\n" ++ said)

start :: Build -> [String] -> [String] -> IO (Problem, String)
start b args options = do
  (problem, said) <- cabal b "list-bin"
  case (problem, lines said) of
    (Nothing, exe : _) ->
      output 900 exe (args ++ [ "--steady" | nonMoving `elem` options ]
        ++ ["+RTS", "-A256k"] ++ options ++ ["-RTS"]) ""
    _ -> pure (problem, said)
