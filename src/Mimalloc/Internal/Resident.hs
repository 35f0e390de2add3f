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
import Data.Bits (shiftL, (.&.), (.|.))
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import qualified Data.ByteString.Char8 as Char8
import Data.List (sort)
import qualified Data.List as List
import Data.Word (Word8)
import Foreign.Marshal.Alloc (allocaBytes)
import Foreign.Marshal.Array (allocaArray)
import Foreign.Ptr (Ptr, WordPtr (..), ptrToWordPtr, wordPtrToPtr)
import Foreign.Storable (peekElemOff)
import System.IO (Handle, IOMode (ReadMode), hGetBufSome, withBinaryFile)

import Mimalloc.Internal.FFI (getpagesize, mi_areas_safe, mincore_safe)

-- | Bytes. What is neither GHC's nor ours is the rest of the total.
--
-- @since 0.1.0.0
data Resident = Resident
  { residentTotal   :: !Int -- ^ of all mappings
  , residentHuge    :: !Int -- ^ of it, in huge pages
  , residentSwapped :: !Int -- ^ written to the swap device; not in the total
  , residentGhc     :: !Int -- ^ in the addresses that GHC has reserved for its heap
  , residentOurs    :: !Int -- ^ in our arenas, their structures, and mappings of single blocks
  } deriving (Eq, Show)

-- | Nothing where the system does not say. From any thread; throws nothing.
getResident :: IO (Maybe Resident)
getResident = do
  backwards <- try (withBinaryFile "/proc/self/smaps" ReadMode readMappings)
  case backwards of
    Left e -> let _ = e :: IOException in pure Nothing
    Right [] -> pure Nothing
    Right ms -> do
      let mappings = reverse ms
      areas <- ourAreas 64
      -- Byte arrays that do not move lie in GHC's heap, too.
      heap <- (`spaceAround` mappings) <$> allocaBytes 64 (pure . address)
      Just <$> addAll heap areas mappings

-- ---- mappings

-- From, to; whether it is memory that is of no file and has no name; bytes.
data Mapping = Mapping
  { from, to :: !Word
  , anonymous :: !Bool
  , rss, huge, swapped :: !Int
  }

-- Backwards. In pieces, as the system gives it, some 4 KiB each: there may be thousands.
readMappings :: Handle -> IO [Mapping]
readMappings h = allocaBytes room $ \p ->
  let go !ms carried = do
        n <- hGetBufSome h p room
        piece <- ByteString.packCStringLen (p, n)
        if n == 0 then pure ms else do
          let (whole, rest) = Char8.breakEnd (== '\n') (carried <> piece)
          go (List.foldl' line ms (Char8.lines whole)) rest
  in go [] ByteString.empty
  where room = 16384

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

type Area = (Word, Word) -- from, to

-- Ascending. There is room for so many at first.
ourAreas :: Int -> IO [Area]
ourAreas room = do
  r <- allocaArray (2 * room) $ \p -> do
    n <- fromIntegral <$> mi_areas_safe p (fromIntegral room)
    if n > room then pure (Left n)
      else Right <$> mapM (\i -> (,) <$> word p (2 * i) <*> word p (2 * i + 1)) [0 .. n - 1]
  either (ourAreas . (+ 64)) (pure . sort) r
  where word p i = fromIntegral <$> peekElemOff p i

address :: Ptr a -> Word
address p = let WordPtr a = ptrToWordPtr p in a

-- GHC reserves addresses once, a TiB as a rule, and uses parts of them, which the system keeps as mappings
-- side by side: all that adjoin the one with this address.
spaceAround :: Word -> [Mapping] -> Area
spaceAround p = go (0, 0)
  where
    go space [] = if inside space then space else (0, 0)
    go space@(low, high) (m : ms)
      | not (anonymous m) = go space ms
      | from m == high = go (low, to m) ms
      | inside space = space
      | otherwise = go (from m, to m) ms
    inside (low, high) = low <= p && p < high

-- GHC's addresses, ours, and all mappings.
addAll :: Area -> [Area] -> [Mapping] -> IO Resident
addAll (low, high) = go (Resident 0 0 0 0 0)
  where
    go !r _ [] = pure r
    go !r areas (m : ms) = do
      let near = dropWhile ((<= from m) . snd) areas
      ours <- if rss m > 0 then oursIn near m else pure 0
      go (add r m ours (if anonymous m && low <= from m && to m <= high then rss m - ours else 0)) near ms
    add r m ours ghc = Resident
      { residentTotal = residentTotal r + rss m
      , residentHuge = residentHuge r + huge m
      , residentSwapped = residentSwapped r + swapped m
      , residentGhc = residentGhc r + ghc
      , residentOurs = residentOurs r + ours
      }

-- The system keeps as one mapping what adjoins and is of one kind, so a part of it may be somebody else's.
-- Then it is asked about the pages of our part, or of the other where that is smaller.
oursIn :: [Area] -> Mapping -> IO Int
oursIn areas m
  | size ours <= size theirs = min (rss m) . sum <$> mapM residentPages ours
  | otherwise = max 0 . (rss m -) . sum <$> mapM residentPages theirs
  where
    ours = [ (max a (from m), min b (to m)) | (a, b) <- takeWhile ((< to m) . fst) areas ]
    theirs = filter (uncurry (<)) (zip (from m : map snd ours) (map fst ours ++ [to m]))
    size as = sum [ b - a | (a, b) <- as ]

-- So many bytes of the range are resident.
residentPages :: Area -> IO Int
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
