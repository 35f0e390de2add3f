{-# LANGUAGE BangPatterns #-}
-- |
-- Failures, out of line so that the functions that may fail stay small. Everything is thrown as the @IOError@
-- that base would throw: 'isResourceExhausted' for want of memory, 'isInvalidArgument' for what can never be.
--
-- Numbers are strict, so that callers pass them unboxed: else a loop around a function that may fail looks
-- each time whether GHC's heap has room for the boxes.
--
-- /Internal/: no part of the interface that the version number speaks for. It may change in every version.
--
-- @since 0.1.0.0
module Mimalloc.Internal.Error
  ( noMemory
  , negativeSize
  , sizeOverflow
  , badAlignment
  , noCapability
  , noArena
  , heapEnded
  , blockIsGone
  , nullPointer
  , noString
  , outOfRange
  , badLength
  , badIndex
  , noRegularFile
  , noProfile
    -- * Telling them apart
  , isResourceExhausted
  , isInvalidArgument
  ) where

import GHC.IO.Exception (IOErrorType (..), IOException (..))

-- | No memory for so many bytes.
noMemory :: String -> Int -> IO a
noMemory name !n = failure ResourceExhausted name ("out of memory: " ++ show n ++ " bytes")
{-# NOINLINE noMemory #-}

-- | Neither bytes nor elements can be fewer than none.
negativeSize :: String -> Int -> IO a
negativeSize name !n = failure InvalidArgument name ("negative size: " ++ show n)
{-# NOINLINE negativeSize #-}

-- | So many elements of so many bytes are more than an address can count.
sizeOverflow :: String -> Int -> Int -> IO a
sizeOverflow name !n !size =
  failure InvalidArgument name ("size overflow: " ++ show n ++ " elements of " ++ show size ++ " bytes")
{-# NOINLINE sizeOverflow #-}

-- | An alignment is a power of two.
badAlignment :: String -> Int -> IO a
badAlignment name !n = failure InvalidArgument name ("alignment is not a power of two: " ++ show n)
{-# NOINLINE badAlignment #-}

-- | The capability that was asked for, and how many are enabled.
noCapability :: String -> Int -> Int -> IO a
noCapability name !n !enabled =
  failure InvalidArgument name ("no capability " ++ show n ++ ": " ++ show enabled ++ " enabled")
{-# NOINLINE noCapability #-}

-- | The arena that was asked for.
noArena :: String -> Int -> IO a
noArena name !n = failure InvalidArgument name ("no arena " ++ show n)
{-# NOINLINE noArena #-}

-- | A heap is used after its end.
heapEnded :: String -> IO a
heapEnded name = failure IllegalOperation name "the heap has ended"
{-# NOINLINE heapEnded #-}

-- | A frozen bracket is gone on with, but its block was freed: nobody could ask for it but a finalizer.
blockIsGone :: String -> IO a
blockIsGone name = failure IllegalOperation name "the garbage collector has freed the block"
{-# NOINLINE blockIsGone #-}

-- | There is a null pointer where there must be none.
nullPointer :: String -> IO a
nullPointer name = failure InvalidArgument name "null pointer"
{-# NOINLINE nullPointer #-}

-- | A handle whose string was deleted, or that is of another store.
noString :: String -> IO a
noString name = failure InvalidArgument name "no string has this handle"
{-# NOINLINE noString #-}

-- | A number that C cannot be given.
outOfRange :: String -> String -> Int -> IO a
outOfRange name what !n = failure InvalidArgument name (what ++ " out of range: " ++ show n)
{-# NOINLINE outOfRange #-}

-- | An action says that it has filled so many of so many.
badLength :: String -> Int -> Int -> IO a
badLength name !n !room = failure InvalidArgument name ("length " ++ show n ++ " of " ++ show room)
{-# NOINLINE badLength #-}

-- | An element that is not there.
badIndex :: String -> Int -> Int -> IO a
badIndex name !i !n = failure InvalidArgument name ("index " ++ show i ++ " of " ++ show n ++ " elements")
{-# NOINLINE badIndex #-}

-- | A folder, a pipe, a device where there must be a file.
noRegularFile :: String -> FilePath -> IO a
noRegularFile name path =
  ioError (IOError Nothing InappropriateType name "not a regular file" Nothing (Just path))
{-# NOINLINE noRegularFile #-}

-- | A text is no profile, from this line on.
noProfile :: String -> Int -> IO a
noProfile name n = failure InvalidArgument name ("no folded stack in line " ++ show n)
{-# NOINLINE noProfile #-}

failure :: IOErrorType -> String -> String -> IO a
failure kind name why = ioError (IOError Nothing kind name why Nothing Nothing)

-- | Whether memory was wanting.
--
-- @since 0.1.0.0
isResourceExhausted :: IOError -> Bool
isResourceExhausted e = ioe_type e == ResourceExhausted

-- | Whether a size, an alignment, a capability or an arena could not be.
--
-- @since 0.1.0.0
isInvalidArgument :: IOError -> Bool
isInvalidArgument e = ioe_type e == InvalidArgument
