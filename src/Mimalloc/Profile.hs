{-# LANGUAGE BangPatterns #-}
{-# LANGUAGE DeriveAnyClass #-}
{-# LANGUAGE DeriveGeneric #-}
{-# LANGUAGE OverloadedStrings #-}
-- |
-- Who allocated what lives: a profile by samples, of Haskell and C at once.
--
-- >>> :set -XOverloadedStrings
-- >>> import Foreign.ForeignPtr (finalizeForeignPtr)
-- >>> import Mimalloc
-- >>> import Mimalloc.Profile
-- >>> startProfile 1
-- >>> buffers <- withAllocationLabel "buffers" (mapM mallocForeignPtrBytes [100000, 200000])
-- >>> profile <- getProfile
-- >>> sum [ inUseBytes (stackAmounts s) | s <- profileStacks profile, take 1 (stackFrames s) == ["buffers"] ]
-- 300000
-- >>> stopProfile
-- >>> mapM_ finalizeForeignPtr buffers
--
-- One byte in 'defaultProfileRate', at random, makes the block that it falls in a sample, which is noted
-- until it is freed, with a stack. A sample stands for as many blocks as are allocated, on average, for one
-- to be a sample. So what is summed up is right on average, and the better the more samples there are. Of a
-- rate of 1 each block is a sample, and the numbers are exact. While the profile is off it costs nothing,
-- but for what labels cost where a program sets them.
--
-- == What is in a stack
--
-- From the outermost frame to the innermost: the labels that the Haskell thread has; in a program that was
-- built for profiling, GHC's cost centres (@Main.request@); then C's frames. Haskell's own stack is none of
-- C's, so without labels and cost centres there is little more than the function of this package.
--
-- == Which labels
--
-- A label belongs to a Haskell thread. It goes where the thread goes, through capabilities, safe calls and
-- exceptions. Blocks have the label of the thread that allocated them: for a lazy value, the thread that
-- evaluated it. C code that a @safe@ call of yours runs and that calls @mi_malloc@ is another matter, since
-- nobody knows there which Haskell thread calls: @mi_profile_set_label@ of @mimalloc-profile.h@ labels what
-- an OS thread allocates. Nor have capabilities past number 255 labels.
--
-- All functions may be called from any thread.
--
-- @since 0.1.0.0
module Mimalloc.Profile
  ( -- * On and off
    startProfile
  , stopProfile
  , profileRate
  , defaultProfileRate
  , ProfileCounts (..)
  , profileCounts
    -- * Labels
  , withAllocationLabel
  , forkLabelled
  , AllocationLabels
  , allocationLabels
  , allocationLabelNames
  , withAllocationLabels
    -- * What there is
  , Profile
  , getProfile
  , profileStacks
  , ProfileStack (..)
  , Amounts (..)
  , profileDifference
    -- ** Leaks
  , ProfileMark
  , markProfile
  , getLeaks
    -- * As text
  , ProfileFormat (..)
  , What (..)
  , renderProfile
  , renderLeaks
  , writeProfile
  , hPutProfile
  , foldedStacks
  , parseFolded
  , allStacks
  , parseStacks
    -- * As a picture
  , flameGraph
    -- * What the examples import
    -- $setup
  ) where

import Control.Concurrent (ThreadId, forkIO)
import Control.DeepSeq (NFData)
import Control.Exception (bracket, mask, onException)
import Control.Monad (when)
import Data.ByteString (ByteString)
import qualified Data.ByteString as ByteString
import Data.ByteString.Builder
import qualified Data.ByteString.Char8 as Char8
import qualified Data.ByteString.Lazy as Lazy
import Data.ByteString.Unsafe (unsafePackCString, unsafeUseAsCStringLen)
import Data.List (sortOn)
import Data.Word (Word64)
import Foreign.C.String (CString)
import Foreign.Marshal.Alloc (alloca)
import Foreign.Marshal.Array (allocaArray, peekArray)
import Foreign.Ptr (nullPtr)
import Foreign.Storable (peek)
import GHC.Generics (Generic)
import System.IO (Handle, IOMode (WriteMode), withBinaryFile)
import System.IO.Unsafe (unsafePerformIO)

import Mimalloc.Internal.Error
import Mimalloc.Internal.FFI
import Mimalloc.Internal.Flame
import Mimalloc.Internal.Numbers (TextFormat (..), What (..))

-- $setup
-- Pasted into GHCi, the examples need these before them.
--
-- >>> :set -XOverloadedStrings
-- >>> import Mimalloc.Profile
-- >>> import Mimalloc
-- >>> import Control.Concurrent
-- >>> import Foreign.ForeignPtr (finalizeForeignPtr)
-- >>> import System.IO (stdout)
-- >>> import qualified Data.ByteString.Builder as Builder
-- >>> import qualified Data.ByteString.Char8 as Char8
-- >>> import qualified Data.ByteString.Lazy.Char8 as Lazy

-- | Bytes, on average, for one sample: 512 KiB.
--
-- >>> defaultProfileRate
-- 524288
--
-- @since 0.1.0.0
defaultProfileRate :: Int
defaultProfileRate = 524288

-- | Makes samples from here on, one in so many bytes. If there is a profile it goes on at this rate. Blocks
-- from before are not in it; nor are, of each capability, those that it has at hand: less than 64 KiB of each
-- size class.
--
-- Throws an invalid argument ('IOError') if the rate is not positive.
--
-- >>> startProfile defaultProfileRate
-- >>> profileRate
-- 524288
-- >>> stopProfile
--
-- @since 0.1.0.0
startProfile :: Int -> IO ()
startProfile rate = do
  when (rate <= 0) $ outOfRange "startProfile" "rate" rate
  mi_profile_start_safe (fromIntegral rate)

-- | Makes no more samples. Those that there are end when their blocks are freed.
--
-- >>> stopProfile >> profileRate
-- 0
--
-- @since 0.1.0.0
stopProfile :: IO ()
stopProfile = mi_profile_stop

-- | The rate in bytes; 0: the profile is off.
--
-- >>> profileRate
-- 0
--
-- @since 0.1.0.0
profileRate :: IO Int
profileRate = fromIntegral <$> mi_profile_rate

-- | How the table of samples stands.
--
-- @since 0.1.0.0
data ProfileCounts = ProfileCounts
  { samplesLive    :: !Int  -- ^ whose blocks live
  , samplesTaken   :: !Int  -- ^ since the process began
  , samplesDropped :: !Int  -- ^ for which there was no room (65,536 samples, 16,384 stacks) or no memory
  , samplesStacks  :: !Int  -- ^ different stacks
  } deriving (Eq, Show, Generic, NFData)

-- |
-- >>> samplesDropped <$> profileCounts
-- 0
--
-- @since 0.1.0.0
profileCounts :: IO ProfileCounts
profileCounts = allocaArray 4 $ \words4 -> do
  mi_profile_counts words4
  numbers <- map fromIntegral <$> peekArray 4 words4
  case numbers of
    [live, taken, dropped, stacks] -> pure (ProfileCounts live taken dropped stacks)
    _ -> pure (ProfileCounts 0 0 0 0)

-- | What this thread allocates in the action has this label, within those that it has already. UTF-8, if it
-- is to be read by people; semicolons and ends of lines become underscores. However the action ends, the
-- labels are what they were.
--
-- >>> withAllocationLabel "requests" (withAllocationLabel "parse" allocationLabels)
-- ["requests","parse"]
--
-- It is there whether a profile is made or not, so that one may begin at any time; it takes some 100
-- nanoseconds. There should be a few hundred different labels, not one for each request: their texts stay as
-- long as the process, 2 MiB of them in all, and a label for which there is no room, or that makes more than
-- 1023 bytes with those around it, is left out.
--
-- A thread that it forks begins without labels ('forkLabelled'). In pure code (@unsafePerformIO@) it is as
-- base's @bracket@ is there; and the action must not be left or entered by a continuation (@control0#@).
--
-- @since 0.1.0.0
withAllocationLabel :: ByteString -> IO a -> IO a
withAllocationLabel !label =
  labelling (unsafeUseAsCStringLen label $ \(p, n) -> mi_cap_label_enter p (fromIntegral n))

-- The first action changes the label, and says what it was. None of these can be interrupted.
labelling :: IO CString -> IO a -> IO a
labelling enter act = mask $ \restore -> do
  outer <- enter
  result <- restore act `onException` mi_cap_label_set outer
  mi_cap_label_set outer
  pure result
{-# INLINE labelling #-}

-- | Labels of a thread.
--
-- @since 0.1.0.0
newtype AllocationLabels = AllocationLabels CString   -- C has the text for ever
  deriving (Eq)

-- |
-- >>> withAllocationLabel "requests" (show <$> allocationLabels)
-- "[\"requests\"]"
instance Show AllocationLabels where
  showsPrec n = showsPrec n . allocationLabelNames

-- | Those that this thread has now, to be given to another.
--
-- >>> allocationLabelNames <$> allocationLabels
-- []
--
-- @since 0.1.0.0
allocationLabels :: IO AllocationLabels
allocationLabels = AllocationLabels <$> mi_cap_label

-- | The outermost first.
--
-- >>> names <- withAllocationLabel "a;b" allocationLabels
-- >>> allocationLabelNames names
-- ["a_b"]
--
-- @since 0.1.0.0
allocationLabelNames :: AllocationLabels -> [ByteString]
allocationLabelNames (AllocationLabels p)
  | p == nullPtr = []
  | otherwise = Char8.split ';' (unsafePerformIO (unsafePackCString p))

-- | What this thread allocates in the action has these labels instead of its own.
--
-- >>> labels <- withAllocationLabel "requests" allocationLabels
-- >>> done <- newEmptyMVar :: IO (MVar AllocationLabels)
-- >>> _ <- forkIO (withAllocationLabels labels (allocationLabels >>= putMVar done))
-- >>> takeMVar done
-- ["requests"]
--
-- @since 0.1.0.0
withAllocationLabels :: AllocationLabels -> IO a -> IO a
withAllocationLabels (AllocationLabels labels) = labelling (mi_cap_label <* mi_cap_label_set labels)

-- | 'forkIO' of a thread that has this one's labels from the start.
--
-- >>> done <- newEmptyMVar :: IO (MVar AllocationLabels)
-- >>> _ <- withAllocationLabel "requests" (forkLabelled (allocationLabels >>= putMVar done))
-- >>> takeMVar done
-- ["requests"]
--
-- @since 0.1.0.0
forkLabelled :: IO () -> IO ThreadId
forkLabelled act = do
  labels <- allocationLabels
  forkIO (withAllocationLabels labels act)

-- | What there was at one time, by stack.
--
-- @since 0.1.0.0
newtype Profile = Profile [ProfileStack]   -- by frames, each once
  deriving (Eq, Show, Generic)

instance NFData Profile

-- | What was allocated by one stack.
--
-- @since 0.1.0.0
data ProfileStack = ProfileStack
  { stackFrames  :: [ByteString]   -- ^ the outermost first: labels, cost centres, functions
  , stackAmounts :: !Amounts
  } deriving (Eq, Show, Generic, NFData)

-- | Bytes are those that were asked for. Below zero, in a difference, if it was more before.
--
-- @since 0.1.0.0
data Amounts = Amounts
  { inUseBytes      :: !Int  -- ^ of what lives
  , inUseBlocks     :: !Int
  , allocatedBytes  :: !Int  -- ^ of all that was allocated while the profile was on
  , allocatedBlocks :: !Int
  } deriving (Eq, Show, Generic, NFData)

instance Semigroup Amounts where
  Amounts a b c d <> Amounts a' b' c' d' = Amounts (a + a') (b + b') (c + c') (d + d')

instance Monoid Amounts where
  mempty = Amounts 0 0 0 0

-- | The stacks, in the order of their frames. Their amounts add up to the whole:
--
-- >>> foldMap stackAmounts . profileStacks <$> parseFolded InUseBytes "a;b 3\na;c 4\n"
-- Amounts {inUseBytes = 7, inUseBlocks = 0, allocatedBytes = 0, allocatedBlocks = 0}
--
-- @since 0.1.0.0
profileStacks :: Profile -> [ProfileStack]
profileStacks (Profile stacks) = stacks

-- | What there is now. The program goes on meanwhile. For want of memory, an 'IOError'
-- (@isResourceExhausted@).
--
-- >>> startProfile 1
-- >>> p <- withAllocationLabel "page" (mallocForeignPtrBytes 4096)
-- >>> inUseBlocks . foldMap stackAmounts . profileStacks <$> getProfile
-- 1
-- >>> stopProfile >> finalizeForeignPtr p
--
-- @since 0.1.0.0
getProfile :: IO Profile
getProfile = textOf "getProfile" TextStacks InUseBytes 0 >>= parseStacks

-- | What grew from the first to the second: all amounts subtracted, stack by stack; without those that are as
-- they were. Also of profiles that were saved ('allStacks', 'parseStacks').
--
-- >>> before <- parseFolded InUseBytes "a 3\nb 1\n"
-- >>> after <- parseFolded InUseBytes "a 5\nb 1\nc 2\n"
-- >>> Lazy.putStr (Builder.toLazyByteString (foldedStacks InUseBytes (profileDifference before after)))
-- a 2
-- c 2
--
-- @since 0.1.0.0
profileDifference :: Profile -> Profile -> Profile
profileDifference (Profile before) (Profile after) = Profile (go before after)
  where
    go [] new = new
    go old [] = map minus old
    go old@(o : os) new@(n : ns) = case compare (stackFrames o) (stackFrames n) of
      LT -> minus o : go os new
      GT -> n : go old ns
      EQ -> let d = stackAmounts n <> negated (stackAmounts o)
            in if d == mempty then go os ns else ProfileStack (stackFrames n) d : go os ns
    minus s = s { stackAmounts = negated (stackAmounts s) }
    negated (Amounts a b c d) = Amounts (negate a) (negate b) (negate c) (negate d)

-- | A line in time.
--
-- @since 0.1.0.0
newtype ProfileMark = ProfileMark Word64
  deriving (Eq, Ord, Show)

-- | Draws one, now.
--
-- >>> earlier <- markProfile
-- >>> (earlier <) <$> markProfile
-- True
--
-- @since 0.1.0.0
markProfile :: IO ProfileMark
markProfile = ProfileMark <$> mi_profile_mark

-- | What was allocated before the mark, and lives still: when nothing of that should, by whom the leak is.
-- All that was allocated counts as what lives.
--
-- >>> startProfile 1
-- >>> kept <- withAllocationLabel "kept" (mallocForeignPtrBytes 1000)
-- >>> mark <- markProfile
-- >>> new <- withAllocationLabel "new" (mallocForeignPtrBytes 1000)
-- >>> map (take 1 . stackFrames) . profileStacks <$> getLeaks mark
-- [["kept"]]
-- >>> stopProfile >> finalizeForeignPtr kept >> finalizeForeignPtr new
--
-- @since 0.1.0.0
getLeaks :: ProfileMark -> IO Profile
getLeaks (ProfileMark mark) = do
  Profile stacks <- textOf "getLeaks" TextStacks InUseBytes mark >>= parseStacks
  pure (Profile [ s { stackAmounts = a { allocatedBytes = inUseBytes a, allocatedBlocks = inUseBlocks a } }
                | s <- stacks, let a = stackAmounts s, inUseBytes a /= 0 || inUseBlocks a /= 0 ])

amount :: What -> Amounts -> Int
amount what = case what of
  InUseBytes -> inUseBytes
  InUseBlocks -> inUseBlocks
  AllocatedBytes -> allocatedBytes
  AllocatedBlocks -> allocatedBlocks

-- | How a profile is written.
--
-- @since 0.1.0.0
data ProfileFormat
  = Pprof        -- ^ for @google-pprof PROGRAM FILE@ and @go tool pprof@, which find names in the program and
                 --   know no labels. All four amounts; bytes are those that blocks have
  | Symbolized   -- ^ for @google-pprof FILE@: the same with names, and labels as the outermost frames
  | Folded What  -- ^ a line for each stack, with semicolons between frames, and a number at its end
  | Stacks       -- ^ the same with all four: 'parseStacks' reads it
  deriving (Eq, Ord, Show, Read, Generic, NFData)

-- | What there is now, as text. Throws as 'getProfile' does.
--
-- >>> Char8.unpack . Char8.take 13 <$> renderProfile Pprof
-- "heap profile:"
--
-- @since 0.1.0.0
renderProfile :: ProfileFormat -> IO ByteString
renderProfile = rendered "renderProfile" 0

-- | The same of 'getLeaks'.
--
-- >>> mark <- markProfile
-- >>> renderLeaks mark (Folded InUseBytes)
-- ""
--
-- @since 0.1.0.0
renderLeaks :: ProfileMark -> ProfileFormat -> IO ByteString
renderLeaks mark@(ProfileMark n) format = case format of
  Folded what -> written . foldedStacks what <$> getLeaks mark
  Stacks -> written . allStacks <$> getLeaks mark
  _ -> rendered "renderLeaks" n format

-- | 'renderProfile' to a file, which is new or loses what it had.
--
-- >>> writeProfile "build/profile.folded" (Folded InUseBytes)
--
-- @since 0.1.0.0
writeProfile :: FilePath -> ProfileFormat -> IO ()
writeProfile path format = do
  text <- renderProfile format
  withBinaryFile path WriteMode (`ByteString.hPut` text)

-- | 'renderProfile' to a handle.
--
-- >>> hPutProfile stdout (Folded InUseBytes)
--
-- @since 0.1.0.0
hPutProfile :: Handle -> ProfileFormat -> IO ()
hPutProfile h format = renderProfile format >>= ByteString.hPut h

-- | A line for each stack that has more than nothing: its frames with semicolons between, and a number.
--
-- >>> profile <- parseStacks "a;b 3 1 9 3\n"
-- >>> Lazy.putStr (Builder.toLazyByteString (foldedStacks AllocatedBytes profile))
-- a;b 9
--
-- @since 0.1.0.0
foldedStacks :: What -> Profile -> Builder
foldedStacks what (Profile stacks) =
  foldMap line [ (s, n) | s <- stacks, let n = amount what (stackAmounts s), n > 0 ]
  where line (s, n) = framesText s <> char7 ' ' <> intDec n <> char7 '\n'

-- | All stacks with all amounts, also negative ones.
--
-- >>> profile <- parseStacks "a;b 3 1 9 3\n"
-- >>> Lazy.putStr (Builder.toLazyByteString (allStacks profile))
-- a;b 3 1 9 3
--
-- @since 0.1.0.0
allStacks :: Profile -> Builder
allStacks (Profile stacks) = foldMap line stacks
  where
    line s = framesText s <> foldMap (number s) [minBound ..] <> char7 '\n'
    number s what = char7 ' ' <> intDec (amount what (stackAmounts s))

framesText :: ProfileStack -> Builder
framesText s = case stackFrames s of
  [] -> mempty
  f : fs -> byteString f <> foldMap (\g -> char7 ';' <> byteString g) fs

-- | Reads folded stacks, whose number is this amount; the others are 0. Lines with the same stack are added
-- up. Of other programs, too. Throws an invalid argument ('IOError') with the number of the line that is
-- none.
--
-- >>> inUseBlocks . foldMap stackAmounts . profileStacks <$> parseFolded InUseBlocks "main;f 2\nmain;f 1\n"
-- 3
--
-- @since 0.1.0.0
parseFolded :: What -> ByteString -> IO Profile
parseFolded what = parsed "parseFolded" 1 $ \numbers -> case (what, numbers) of
  (InUseBytes, [n]) -> Just mempty { inUseBytes = n }
  (InUseBlocks, [n]) -> Just mempty { inUseBlocks = n }
  (AllocatedBytes, [n]) -> Just mempty { allocatedBytes = n }
  (AllocatedBlocks, [n]) -> Just mempty { allocatedBlocks = n }
  _ -> Nothing

-- | Reads what 'allStacks' and 'Stacks' write. Throws as 'parseFolded' does.
--
-- >>> profile <- parseStacks "a;b 3 1 9 3\n"
-- >>> map stackFrames (profileStacks profile)
-- [["a","b"]]
--
-- @since 0.1.0.0
parseStacks :: ByteString -> IO Profile
parseStacks = parsed "parseStacks" 4 $ \numbers -> case numbers of
  [a, b, c, d] -> Just (Amounts a b c d)
  _ -> Nothing

-- So many numbers at the end of each line.
parsed :: String -> Int -> ([Int] -> Maybe Amounts) -> ByteString -> IO Profile
parsed name count amounts text = Profile . merged . sortOn stackFrames <$> mapM line
  [ (n, l) | (n, l) <- zip [1 ..] (Char8.lines text), not (ByteString.null l) ]
  where
    line (n, l) = case split count l [] of
      Just (frames, numbers) | Just a <- amounts numbers -> pure (ProfileStack (Char8.split ';' frames) a)
      _ -> noProfile name n
    split :: Int -> ByteString -> [Int] -> Maybe (ByteString, [Int])
    split 0 l numbers = if ByteString.null l then Nothing else Just (l, numbers)
    split k l numbers = case Char8.readInt number of
      Just (n, "") | not (ByteString.null before) -> split (k - 1) (ByteString.init before) (n : numbers)
      _ -> Nothing
      where (before, number) = Char8.breakEnd (== ' ') l
    merged (a : b : rest)
      | stackFrames a == stackFrames b =
        merged (ProfileStack (stackFrames a) (stackAmounts a <> stackAmounts b) : rest)
      | otherwise = a : merged (b : rest)
    merged rest = rest

-- | A picture: SVG, with nothing outside of it, light or dark as the reader's system is. The outermost frames
-- are at the bottom, each as wide as its share of the amount; the pointer on one shows how much that is. Of a
-- 'profileDifference' it shows what grew. The first argument is the title.
--
-- >>> profile <- parseFolded InUseBytes "main;requests 300\nmain;cache 700\n"
-- >>> Lazy.writeFile "build/flame.svg" (Builder.toLazyByteString (flameGraph "in use" InUseBytes profile))
--
-- @since 0.1.0.0
flameGraph :: ByteString -> What -> Profile -> Builder
flameGraph title what (Profile stacks) =
  flames title unit [ (stackFrames s, amount what (stackAmounts s)) | s <- stacks ]
  where unit = if what `elem` [InUseBytes, AllocatedBytes] then "bytes" else "blocks"

-- pprof finds the program by the mappings, which C copies only to files.
rendered :: String -> Word64 -> ProfileFormat -> IO ByteString
rendered name mark format = case format of
  Pprof -> withMaps TextPprof
  Symbolized -> withMaps TextSymbolized
  Folded what -> textOf name TextFolded what mark
  Stacks -> textOf name TextStacks InUseBytes mark
  where withMaps f = (<>) <$> textOf name f InUseBytes mark <*> ByteString.readFile "/proc/self/maps"

textOf :: String -> TextFormat -> What -> Word64 -> IO ByteString
textOf name format what mark = alloca $ \size -> bracket
  (mi_profile_text_safe (fromIntegral (fromEnum format)) (fromIntegral (fromEnum what)) mark size)
  (\p -> when (p /= nullPtr) (mi_profile_text_free p)) $ \p -> do
    when (p == nullPtr) $ noMemory name 0
    n <- peek size
    ByteString.packCStringLen (p, fromIntegral n)

written :: Builder -> ByteString
written = Lazy.toStrict . toLazyByteString
