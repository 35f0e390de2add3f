-- Shapes of use whose resident memory bench/memory watches; it runs this and makes tables of it.
--
-- * buffers WHO BYTES COUNT: blocks made, each page written to, and dropped
-- * strings WHO COUNT: 20-byte strings of which every 50th is kept
-- * capability WHO sleeping|disabled HOW LIVE FREED: MiB of blocks of capability 1; HOW:
--   nothing|drain|background
-- * live WHO ROUNDS: 1 GiB live in foreign pointers while the program allocates
-- * service WHO CYCLES: requests on four capabilities, 6 seconds a cycle
--
-- WHO is mi, base (malloc, and the finalizer free) or pinned (GHC's own); for strings also region and
-- regions, for live also mi-off, without pressure. What they print: Memory.Report.
module Main (main) where

import System.Environment (getArgs)
import System.Exit (exitFailure)
import System.IO (hPutStrLn, stderr)

import Memory.Capability
import Memory.Report
import Memory.Service
import Memory.Streams

main :: IO ()
main = getArgs >>= \args -> do
  began
  case args of
    ["buffers", who, size, count] -> buffers who (read size) (read count)
    ["strings", who, count] -> strings who (read count)
    ["capability", who, state, how, total, freed] -> capability who state how (read total) (read freed)
    ["live", who, rounds] -> live who (read rounds)
    ["service", who, cycles] -> service who (read cycles)
    _ -> hPutStrLn stderr "see the head of bench/hs/Memory.hs" >> exitFailure
