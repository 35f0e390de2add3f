-- What the ways to hold a block cost, beside base's. Run by bench/haskell, which makes tables of it; by hand:
--
--   tools/cabal bench costs --benchmark-options='table +RTS -N1'
--
-- * table: for people, nanoseconds for making a block, writing a byte to it and giving it back
-- * ways ROUNDS SIZE..: each way, as many loops at once as there are capabilities
-- * remote|bulk|throughput|bound ROUNDS, idle mi|base|nobody SIZE: see Costs.Across
-- * kept WHAT: one of Costs.Kept; without WHAT, their names
-- * scrape ROUNDS: metrics of a thousand heaps
-- * exit mi|base: what the clock shows when nothing is left to do but to end
--
-- All but the table: TSV, a line for each thing: part, name, bytes, the figures of all rounds.
module Main (main) where

import Control.Concurrent (getNumCapabilities)
import Control.Monad
import Data.List (sort)
import System.Environment (getArgs)
import System.Exit (exitFailure)
import System.IO (hPutStrLn, stderr)
import Text.Printf (printf)

import Costs.Across
import Costs.Kept
import Costs.Measure
import Costs.Scrape
import Costs.Ways

main :: IO ()
main = getArgs >>= \args -> case args of
  [] -> table
  ["table"] -> table
  "ways" : rounds : sizes -> forM_ sizes $ \size -> do
    things <- forM ways $ \(name, way) -> Thing name (read size) <$> perOperation (way (read size))
    interleaved "ways" (read rounds) things
  ["remote", rounds] -> remote (read rounds)
  ["bulk", rounds] -> bulk (read rounds)
  ["throughput", rounds] -> throughput (read rounds)
  ["bound", rounds] -> bound (read rounds)
  ["idle", who, size] -> idle who (read size)
  ["kept"] -> mapM_ (putStrLn . fst) keepers
  ["kept", what] -> kept what
  ["exit", who] -> atTheEnd who
  ["scrape", rounds] -> scrapes (read rounds)
  _ -> do
    hPutStrLn stderr ("table | ways ROUNDS SIZE.. | remote|bulk|throughput|bound ROUNDS | "
      ++ "idle mi|base|nobody SIZE | kept WHAT | exit mi|base | scrape ROUNDS")
    exitFailure

table :: IO ()
table = do
  n <- getNumCapabilities
  printf "| ns, -N%d | 48 B | 4 KiB | 64 KiB |\n|---|---|---|---|\n" n
  forM_ ways $ \(name, way) -> do
    figures <- forM [48, 4096, 65536] $ \size -> perOperation (way size) >>= replicateM 9
    printf "| %s | %s |\n" name (foldr1 (\a b -> a ++ " | " ++ b)
      [printf "%.0f" (sort f !! 4) | f <- figures])
