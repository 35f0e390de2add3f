{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE OverloadedStrings #-}
-- |
-- Whose the resident memory of the process is: GHC's, this allocator's, or somebody else's. From one read of
-- @\/proc\/self\/smaps@, in which the system says of each mapping how much of it is resident.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Resident
  ( Resident (..)
  , getResident
  ) where

import Control.Exception (IOException, try)
import Control.Monad (foldM)
import Data.Bits (shiftL, (.&.), (.|.))
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Char8 as Char8
import Data.List (sort)
import qualified Data.List as List
import Data.Maybe (catMaybes)
import Data.Word (Word8)
import Foreign.Marshal.Alloc (alloca, allocaBytes)
import Foreign.Ptr (Ptr, WordPtr (..), nullPtr, ptrToWordPtr, wordPtrToPtr)
import Foreign.Storable (peek, peekElemOff)
import System.IO (Handle, IOMode (ReadMode), withBinaryFile)

import Mimalloc.Internal.FFI (getpagesize, mi_arena_area, mi_is_in_heap_region, mincore_safe)

-- | Bytes. What is neither GHC's nor ours is the rest of the total.
--
-- @since 0.1.0.0
data Resident = Resident
  { residentTotal   :: !Int -- ^ of all mappings
  , residentHuge    :: !Int -- ^ of it, in huge pages
  , residentSwapped :: !Int -- ^ written to the swap device; not in the total
  , residentGhc     :: !Int -- ^ in the addresses that GHC has reserved for its heap
  , residentBlocks  :: !Int -- ^ in arenas, and in mappings of single blocks
  } deriving (Eq, Show)

-- | Of so many arenas, and of mappings of single blocks if there are any. Nothing where the system does not
-- say. From any thread; throws nothing.
getResident :: Int -> Bool -> IO (Maybe Resident)
getResident arenas single = do
  read_ <- try (withBinaryFile "/proc/self/smaps" ReadMode readMappings)
  case read_ of
    Left e -> let _ = e :: IOException in pure Nothing
    Right [] -> pure Nothing
    Right backwards -> do
      let mappings = reverse backwards
      areas <- arenaAreas arenas
      -- Byte arrays that do not move lie in GHC's heap, too.
      heap <- (`spaceAround` mappings) <$> allocaBytes 64 (pure . address)
      Just <$> foldM (add (Places areas single heap)) (Resident 0 0 0 0 0) mappings

-- ---- mappings

-- From, to; whether it is memory that is of no file and has no name; bytes.
data Mapping = Mapping
  { from, to :: !Word
  , anonymous :: !Bool
  , rss, huge, swapped :: !Int
  }

-- Backwards. In pieces, as the system gives it: there may be thousands.
readMappings :: Handle -> IO [Mapping]
readMappings h = go [] ByteString.empty
  where
    go !ms carried = do
      piece <- ByteString.hGetSome h 65536
      if ByteString.null piece then pure ms else do
        let (whole, rest) = Char8.breakEnd (== '\n') (carried <> piece)
        go (List.foldl' line ms (Char8.lines whole)) rest

-- A mapping's first line, or one of those that follow.
line :: [Mapping] -> ByteString -> [Mapping]
line ms text = case (Char8.uncons text, ms) of
  (Just (c, _), m : rest)
    | c == 'R', Just n <- kib "Rss:" text -> let !m' = m { rss = n } in m' : rest
    | c == 'A', Just n <- kib "AnonHugePages:" text -> let !m' = m { huge = n } in m' : rest
    | c == 'S', Just n <- kib "Swap:" text -> let !m' = m { swapped = n } in m' : rest
  (Just (c, _), _) | c < 'A' || c >= 'a', Just m <- mapping text -> m : ms
  _ -> ms

kib :: ByteString -> ByteString -> Maybe Int
kib name text = do
  rest <- ByteString.stripPrefix name text
  (n, _) <- Char8.readInt (Char8.dropWhile (== ' ') rest)
  pure (1024 * n)

-- Addresses, permissions, offset, device, file; name.
mapping :: ByteString -> Maybe Mapping
mapping text = case Char8.words text of
  range : _ : _ : _ : file : name
    | (low, high) <- Char8.break (== '-') range, not (ByteString.null high) -> do
        let !start = hexadecimal low
            !end = hexadecimal (ByteString.drop 1 high)
            !free = file == "0" && all ("[anon" `ByteString.isPrefixOf`) (take 1 name)
        Just (Mapping start end free 0 0 0)
  _ -> Nothing

hexadecimal :: ByteString -> Word
hexadecimal = ByteString.foldl' (\n c -> n `shiftL` 4 .|. digit c) 0
  where digit c = fromIntegral (if c > 57 then c - 87 else c - 48)

-- ---- places

data Places = Places
  { arenaPlaces :: [(Word, Word)] -- from, to; ascending
  , singleBlocks :: !Bool         -- others are ours, too
  , ghcPlace :: !(Word, Word)
  }

arenaAreas :: Int -> IO [(Word, Word)]
arenaAreas n = sort . catMaybes <$> mapM area [1 .. n]
  where
    area i = alloca $ \size -> do
      start <- mi_arena_area (fromIntegral i) size
      bytes <- fromIntegral <$> peek size
      pure (if start == nullPtr then Nothing else Just (address start, address start + bytes))

address :: Ptr a -> Word
address p = let WordPtr a = ptrToWordPtr p in a

-- GHC reserves addresses once, a TiB as a rule, and uses parts of them, which the system keeps as mappings
-- side by side: all that adjoin the one with this address.
spaceAround :: Word -> [Mapping] -> (Word, Word)
spaceAround p = go (0, 0)
  where
    go space [] = if inside space then space else (0, 0)
    go space@(low, high) (m : ms)
      | not (anonymous m) = go space ms
      | from m == high = go (low, to m) ms
      | inside space = space
      | otherwise = go (from m, to m) ms
    inside (low, high) = low <= p && p < high

add :: Places -> Resident -> Mapping -> IO Resident
add places r m
  | rss m == 0 || not (anonymous m) = pure (counted 0 0)
  | otherwise = do
      ours <- blocksIn places inGhc m
      pure (counted ours (if inGhc then rss m - ours else 0))
  where
    inGhc = let (low, high) = ghcPlace places in low <= from m && to m <= high
    counted ours ghc = Resident
      { residentTotal = residentTotal r + rss m
      , residentHuge = residentHuge r + huge m
      , residentSwapped = residentSwapped r + swapped m
      , residentGhc = residentGhc r + ghc
      , residentBlocks = residentBlocks r + ours
      }

-- The system keeps as one mapping what adjoins and is of one kind, so a part of it may be somebody else's.
-- Then it is asked about our pages.
blocksIn :: Places -> Bool -> Mapping -> IO Int
blocksIn places inGhc m = do
  more <- if singleBlocks places && not inGhc then concat <$> mapM regions (gaps (from m) parts) else pure []
  let all_ = parts ++ more
  if sum [ b - a | (a, b) <- all_ ] == to m - from m then pure (rss m)
    else min (rss m) . sum <$> mapM residentPages all_
  where
    parts = [ (a, b) | (low, high) <- arenaPlaces places
                     , let a = max low (from m), let b = min high (to m), a < b ]
    gaps at [] = [ (at, to m) | at < to m ]
    gaps at ((a, b) : ps) = [ (at, a) | at < a ] ++ gaps b ps

-- Parts of a range that are ours: mappings of single blocks begin at slices.
regions :: (Word, Word) -> IO [(Word, Word)]
regions (low, high) = go [] (low + (negate low .&. (slice - 1)))
  where
    go found at
      | at >= high = pure found
      | otherwise = do
          ours <- mi_is_in_heap_region (wordPtrToPtr (WordPtr at))
          go (if ours == 0 then found else joined found at (min high (at + slice))) (at + slice)
    joined ((a, b) : found) at end | b == at = (a, end) : found
    joined found at end = (at, end) : found
    slice = 65536

-- So many bytes of the range are resident.
residentPages :: (Word, Word) -> IO Int
residentPages (low, high) = do
  page <- fromIntegral <$> getpagesize
  let most = 4096
      go !n at | at >= high = pure (n * fromIntegral page)
      go n at = do
        let bytes = min (most * page) (high - at)
            pages = fromIntegral ((bytes + page - 1) `quot` page)
        there <- allocaBytes (fromIntegral most) $ \p -> do
          failed <- mincore_safe (wordPtrToPtr (WordPtr at) :: Ptr ()) (fromIntegral bytes) p
          if failed == 0 then count p pages else pure 0
        go (n + there) (at + bytes)
  go 0 low

count :: Ptr Word8 -> Int -> IO Int
count p n = go 0 0
  where
    go !i !found
      | i == n = pure found
      | otherwise = peekElemOff p i >>= \b -> go (i + 1) (found + fromIntegral (b .&. 1))
