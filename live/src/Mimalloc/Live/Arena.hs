{-# LANGUAGE OverloadedStrings #-}
-- |
-- The map of an arena as JSON. A row for each run of slices, since there may be ten thousand:
-- @[slices, use, owner, heap, block bytes, live blocks, hole bytes]@, of which the last five are those of
-- pages. Use: 0 free, 1 waits to go back, 2 kept, 3 a page. Owners are called as in metrics; heaps by their
-- numbers, and those that have a name have it apart.
module Mimalloc.Live.Arena
  ( arenaJson
  ) where

import Data.ByteString.Builder
import Data.Char (ord)
import Data.List (intersperse, sortOn)
import Data.Maybe (fromMaybe, listToMaybe, maybeToList)
import Data.Ord (Down (..))

import Mimalloc.Heap (MiArenaId)
import Mimalloc.Stats

-- | Of the largest arena, if there is none of that number.
arenaJson :: Maybe MiArenaId -> IO Builder
arenaJson wanted = do
  arenas <- getArenas
  names <- statsHeapNames <$> getStats
  let bySize = map fst (sortOn (Down . snd) arenas)
      shown = fromMaybe 0 (listToMaybe (filter (`elem` bySize) (maybeToList wanted ++ bySize)))
  runs <- arenaMap shown
  pure $ "{\"arena\":" <> number shown
    <> ",\"arenas\":" <> list [ list [number n, intDec bytes] | (n, bytes) <- arenas ]
    <> ",\"names\":{" <> separated [ string (heapText h) <> ":" <> string name | (h, name) <- names ]
    <> "},\"runs\":" <> list (map row runs) <> "}\n"
  where number = intDec . fromIntegral

row :: ArenaRun -> Builder
row run = list $ intDec (runSlices run) : case runUse run of
  ArenaFree -> ["0"]
  ArenaWaits -> ["1"]
  ArenaKept -> ["2"]
  ArenaPage owner heap size live holes ->
    ["3", string (ownerText owner), string (heapText heap), intDec size, intDec live, intDec holes]

ownerText :: Owner -> String
ownerText owner = case owner of
  Nobody -> "nobody"
  Capability n -> "capability " ++ show n
  OSThread _ -> "threads"

heapText :: HeapId -> String
heapText heap = case heap of
  MainHeap -> "main"
  HeapNumber n -> show n

list :: [Builder] -> Builder
list xs = "[" <> separated xs <> "]"

separated :: [Builder] -> Builder
separated = mconcat . intersperse ","

string :: String -> Builder
string s = "\"" <> foldMap character s <> "\""
  where
    character c
      | c == '"' || c == '\\' = char7 '\\' <> char7 c
      | c < ' ' = "\\u00" <> word8HexFixed (fromIntegral (ord c))
      | otherwise = charUtf8 c
