{-# LANGUAGE RankNTypes #-}
{-# LANGUAGE ScopedTypeVariables #-}
-- Brackets in pure code.
module Pure.Brackets (tests) where

import Control.Concurrent
import Control.Exception
import Control.Monad
import qualified Data.ByteString as B
import Data.IORef
import Data.Word (Word8)
import Foreign.Ptr (castPtr)
import GHC.Conc
  ( BlockReason (..), ThreadStatus (..), atomically, catchSTM, newTVarIO, readTVar, threadStatus
  , unsafeIOToSTM, writeTVar )
import GHC.IO.Exception (IOErrorType (..), IOException (..))
import System.IO.Unsafe (unsafeInterleaveIO, unsafePerformIO)
import System.Mem (performGC, performMinorGC)
import System.Timeout (timeout)
import Test.Tasty (TestTree, testGroup)
import Test.Tasty.HUnit
import Unsafe.Coerce (unsafeCoerce)

import Api.Support
import Mimalloc
import qualified Mimalloc.ByteString as M
import Mimalloc.Heap
import qualified Mimalloc.Stats as Stats
import qualified Mimalloc.Store as Store
import qualified Mimalloc.Vector as V

-- A way to have some bytes while an action runs.
type With = forall b. (Ptr Word8 -> IO b) -> IO b
data Way = Way String With

ways :: [Way]
ways =
  [ Way "withMalloc" (\f -> withMalloc (\p -> f (castPtr (p :: Ptr Int))))
  , Way "withMallocBytes" (withMallocBytes 100)
  , Way "withMallocBytes, large" (withMallocBytes 3000000)
  , Way "withMallocArray" (\f -> withMallocArray 10 (\p -> f (castPtr (p :: Ptr Int))))
  , Way "withMallocAligned" (\f -> withMallocAligned 256 (\p -> f (castPtr (p :: Ptr Int))))
  , Way "withMallocAlignedBytes" (withMallocAlignedBytes 100 64)
  , Way "withCalloc" (\f -> withCalloc (\p -> f (castPtr (p :: Ptr Int))))
  , Way "withZallocBytes, in a safe call" (withZallocBytes 2000000)
  , Way "nested" (\f -> withMallocBytes 100 $ \_ -> withZallocBytes 50 $ \_ -> withMallocBytes 20 f)
  , Way "withHeap, withHeapMallocBytes" (\f -> withHeap $ \h -> withHeapMallocBytes h 100 f)
  , Way "withHeapEx True, withHeapMallocBytes" (\f -> withHeapEx 0 True 0 $ \h -> withHeapMallocBytes h 100 f)
  , Way "withHeapEx True, heapMallocForeignPtrBytes" (\f ->
      withHeapEx 0 True 0 $ \h -> heapMallocForeignPtrBytes h 100 >>= (`withForeignPtr` f))
  , Way "newHeap, withHeapMalloc" (\f ->
      newHeap >>= \h -> withHeapMalloc h (\p -> f (castPtr (p :: Ptr Int))))
  , Way "in a bracket, deep" (\f -> withMallocBytes 100 $ \p -> deeply 20000 (f p))
  , Way "createAndTrim" (filled (M.createAndTrim 100))
  , Way "createUptoN" (filled (M.createUptoN 100))
  ]
  where
    filled make f = do
      result <- newIORef Nothing
      _ <- make (\p -> f p >>= writeIORef result . Just >> pure 10)
      readIORef result >>= maybe (fail "no result") pure

-- With a block of some MB.
larger :: [Way]
larger =
  [ Way "withMallocBytes" (withMallocBytes large)
  , Way "withZallocBytes" (withZallocBytes large)
  , Way "withMallocAlignedBytes" (withMallocAlignedBytes large 64)
  , Way "nested" (\f -> withMallocBytes large $ \_ -> withMallocBytes large $ \_ -> withMallocBytes 20 f)
  , Way "withHeap" (\f -> withHeap $ \h -> withHeapMallocBytes h large f)
  , Way "withHeapEx True" (\f -> withHeapEx 0 True 0 $ \h -> withHeapMallocBytes h large f)
  , Way "withHeap, below much stack" (\f -> withHeap $ \h -> deeply 20000 (withHeapMallocBytes h large f))
  ]
  where large = 8000000

-- Much stack, in several pieces.
deeply :: Int -> IO a -> IO a
deeply 0 act = act
deeply n act = do
  r <- deeply (n - 1) act
  if n < 0 then fail "never" else pure r
{-# NOINLINE deeply #-}

-- A value that waits until it is let go. It counts how often it was begun.
data Slow = Slow { value :: Int, begun :: IORef Int, letGo :: MVar () }

slow :: With -> (forall a. IO a -> IO a) -> IO Slow
slow with lazily = do
  times <- newIORef 0
  gate <- newEmptyMVar
  v <- lazily $ with $ \p -> do
    poke p 42
    modifyIORef' times (+ 1)
    readMVar gate
    fromIntegral <$> peek p
  pure (Slow v times gate)
{-# NOINLINE slow #-}

-- Somebody evaluates the value, and is sent an exception when it has begun. Whether exceptions are masked
-- there is afterwards as before.
interrupt :: Exception e => e -> Slow -> IO ()
interrupt e s = forM_ [id, mask_] $ \masked -> do
  done <- newEmptyMVar
  worker <- forkIO $ masked $ do
    before <- getMaskingState
    r <- try (evaluate (value s))
    after <- getMaskingState
    putMVar done (r, before, after)
  untilBlocked worker
  throwTo worker e
  takeMVar done >>= \(r, before, after) -> case r of
    Left (_ :: SomeException) -> after @?= before
    Right n -> assertFailure ("not interrupted: " ++ show n)

-- It has come to where it waits.
untilBlocked :: ThreadId -> IO ()
untilBlocked worker = go (20000 :: Int)
  where
    go 0 = assertFailure "it never waits"
    go n = threadStatus worker >>= \status -> case status of
      ThreadBlocked BlockedOnMVar -> pure ()
      _ -> threadDelay 1000 >> go (n - 1)

interrupted :: (Int -> Assertion) -> Slow -> Assertion
interrupted check s = do
  putMVar (letGo s) ()
  evaluate (value s) >>= check
  readIORef (begun s) >>= (@?= 1)

tests :: TestTree
tests = testGroup "brackets in pure code"
  [ testGroup "go on after an interruption" [testCase name $ freed $ do
      s <- slow with (pure . unsafePerformIO)
      replicateM_ 3 (interrupt ThreadKilled s)
      interrupted (@?= 42) s | Way name with <- ways]
  , testGroup "go on in another thread, which masks" [testCase name $ freed $ do
      s <- slow with unsafeInterleaveIO
      interrupt ThreadKilled s
      state <- mask_ (interrupted (@?= 42) s >> getMaskingState)
      state @?= MaskedInterruptible | Way name with <- ways]
  , testGroup "are freed when nobody goes on" [testCase name $ freed $ do
      s <- slow with unsafeInterleaveIO
      interrupt ThreadKilled s | Way name with <- ways]
  , testGroup "are freed when nobody goes on, though their heap lives on" [testCase name $ heapOf $ \h -> do
      freed $ replicateM_ 20 $
        slow (withHeapMallocBytes h 1000000) unsafeInterleaveIO >>= interrupt ThreadKilled
      freed $ replicateM_ 10 $ begunAgain (withHeapMallocBytes h 100)
      freed $ replicateM_ 5 $ frozenBefore (withHeapMallocBytes h 100)
      withHeapMallocBytes h 8 (`poke` 1) | (name, heapOf) <- heaps]
  , testGroup "leave alone what is there when their heap was ended"
      [testCase (show n) (endedBefore n) | n <- [100, 20000, 1000000]]
  , testCase "die together with their heap" $ freed $ reportsEnd $ replicateM_ 100 $ do
      h <- newHeap
      slow (withHeapMallocBytes h 100000) unsafeInterleaveIO >>= interrupt ThreadKilled
  , testCase "are an error when their heap was ended" $ freed $ do
      h <- newHeap
      s <- slow (withHeapMallocBytes h 100) unsafeInterleaveIO
      interrupt ThreadKilled s
      unsafeEndHeap h
      putMVar (letGo s) ()
      try (evaluate (value s)) >>= (@?= Left IllegalOperation) . either (Left . ioe_type) Right
  , testGroup "are an error for a finalizer, which comes too late" [testCase name $ freed $ do
      results <- newEmptyMVar
      lost with results
      performGC
      r <- timeout 20000000 (takeMVar results)
      fmap (map (either ioe_type (const OtherError))) r @?= Just [IllegalOperation, IllegalOperation]
        | Way name with <- take 4 ways]
  , testGroup "are interrupted by any exception" [testCase name $ freed $ do
      s <- slow with unsafeInterleaveIO
      interrupt (userError "from outside") s
      interrupted (@?= 42) s | Way name with <- take 2 ways]
  , testGroup "are interrupted below much stack" [testCase name $ freed $ do
      s <- slow with (\act -> unsafeInterleaveIO (deeply 20000 act))
      interrupt ThreadKilled s
      interrupted (@?= 42) s | Way name with <- ways]
  , testGroup "keep the action's own exception" [testCase name $ freed $ do
      v <- unsafeInterleaveIO (with $ \_ -> throwIO Overflow)
      replicateM_ 2 $ try (evaluate (v :: Int)) >>= (@?= Left Overflow) | Way name with <- ways]
  , testGroup "keep what an STM handler sees" [testCase name $ freed $ do
      v <- unsafeInterleaveIO (with $ \_ -> throwIO Overflow)
      r <- atomically ((Right <$> (pure $! v)) `catchSTM` (pure . Left))
      r @?= (Left Overflow :: Either ArithException Int) | Way name with <- take 2 ways]
  , testCase "are as ever in a transaction that is interrupted" $ freed $ do
      s <- slow (withMallocBytes 100) unsafeInterleaveIO
      done <- newEmptyMVar
      worker <- forkIO $ try (atomically (pure $! value s)) >>= putMVar done
      untilBlocked worker
      killThread worker
      takeMVar done >>= (@?= Left ThreadKilled)
      interrupted (@?= 42) s
  , testGroup "leave nothing to a transaction that is begun again" [testCase name $ freed $ do
      replicateM_ 10 (begunAgain with) | Way name with <- ways]
  , testGroup "leave nothing to a transaction that goes on with one, and is begun again"
      [testCase name $ freed $ replicateM_ 5 (frozenBefore with) | Way name with <- ways]
  , testGroup "leave nothing to transactions that are dropped anywhere"
      [testCase name $ freed (conflicts most make) | (name, most, make) <- made]
  , testGroup "leave no thread masked whose transactions are dropped"
      [testCase name $ conflicts most make | (name, most, make) <- masking]
  , testGroup "in no lazy value they are freed at once" [testCase name $ do
      before <- liveBlocks >> snd <$> Stats.liveBlocks
      entered <- newEmptyMVar
      done <- newEmptyMVar
      worker <- forkIO $ (with $ \_ -> putMVar entered () >> forever (threadDelay 1000000))
        `catch` (putMVar done . (== ThreadKilled))
      takeMVar entered
      killThread worker
      takeMVar done >>= assertBool "killed"
      after <- snd <$> Stats.liveBlocks
      assertBool ("bytes before " ++ show before ++ ", after " ++ show after) (after < before + 4000000)
        | Way name with <- larger]
  , testCase "the action is not held while it runs" $ do
      -- The list is consumed as it comes: it never has many cells, though the action began with its head.
      n <- readIORef =<< newIORef (3000000 :: Int)
      r <- withMallocBytes 8 $ \p -> do
        poke p 1
        forM_ [1 .. n] $ \i -> when (i == n) $ poke p 2
        peek p
      r @?= 2
  , testCase "a handler of the action's own sees the exception" $ freed $ do
      seen <- newIORef False
      gate <- newEmptyMVar
      v <- unsafeInterleaveIO $ withMallocBytes 100 $ \_ ->
        (putMVar gate () >> threadDelay 100000000 >> pure 1)
          `catch` \e -> 2 <$ writeIORef seen (e == ThreadKilled)
      box <- newEmptyMVar
      worker <- forkIO (evaluate (v :: Int) >>= putMVar box)
      takeMVar gate
      killThread worker
      takeMVar box >>= (@?= 2)
      readIORef seen >>= assertBool "seen"
  ]

-- Heaps that live on when a bracket in pure code ends. (The type keeps two of them in their brackets.)
heaps :: [(String, (GCHeap -> IO ()) -> IO ())]
heaps =
  [ ("newHeap", \act -> newHeap >>= act)
  , ("newHeap, with a foreign pointer", \act -> newHeap >>= \h -> heapMallocForeignPtrBytes h 10 >> act h)
  , ("withHeap", \act -> withHeap (act . leaked))
  , ("withHeapEx True", \act -> withHeapEx 0 True 0 (act . leaked))
  ]
  where
    leaked :: Heap s -> GCHeap
    leaked = unsafeCoerce

-- The memory of brackets that were interrupted is others' by now.
endedBefore :: Int -> Assertion
endedBefore n = do
  places <- newIORef []
  interruptedIn places
  old <- readIORef places
  blocks <- again (200 + 10000000 `quot` n) (3 :: Int) old []
  replicateM_ 3 performGC
  forM_ blocks $ \p -> do
    usable <- usableSize p
    usable >= n @? "a block was freed"
  mapM_ mi_free blocks
  where
    again _ 0 _ blocks = pure blocks
    again 0 _ _ blocks = blocks <$ assertFailure "the memory is never used again"
    again limit wanted old blocks = do
      p <- mi_malloc (fromIntegral n)
      again (limit - 1) (if p `elem` old then wanted - 1 else wanted) old (p : blocks)
    interruptedIn places = do
      h <- newHeap
      replicateM_ 10 $ do
        s <- slow (\f -> withHeapMallocBytes h n (\p -> modifyIORef' places (p :) >> f p)) unsafeInterleaveIO
        interrupt ThreadKilled s
      unsafeEndHeap h
    {-# NOINLINE interruptedIn #-}

-- A block that is freed and is none ends the process.
reportsEnd :: IO a -> IO a
reportsEnd = bracket_ (mi_option_enable MiOptionAbortOnError) (mi_option_disable MiOptionAbortOnError)

-- A value that was interrupted, and that only a finalizer holds, which asks twice.
lost :: With -> MVar [Either IOException Int] -> IO ()
lost with results = do
  s <- slow with unsafeInterleaveIO
  interrupt ThreadKilled s
  putMVar (letGo s) ()
  key <- newIORef ()
  void $ mkWeakIORef key $ replicateM 2 (try (evaluate (value s))) >>= putMVar results
{-# NOINLINE lost #-}

-- What a transaction has read changes while it evaluates a value. GHC notices when the thread pauses, drops
-- the evaluation where it stands, without a handler, and begins again.
begunAgain :: With -> Assertion
begunAgain with = do
  source <- newTVarIO (1 :: Int)
  times <- newIORef (0 :: Int)
  begins <- newEmptyMVar
  gate <- newEmptyMVar
  done <- newEmptyMVar
  let valueOf n = unsafePerformIO $ with $ \p -> do
        poke p (fromIntegral n)
        modifyIORef' times (+ 1)
        when (n == 1) $ putMVar begins () >> takeMVar gate >> replicateM_ 1000 yield
        fromIntegral <$> peek p :: IO Int
  _ <- forkIO $ try (atomically (readTVar source >>= \n -> pure $! valueOf n)) >>= putMVar done
  takeMVar begins
  atomically (writeTVar source 2)
  putMVar gate ()
  takeMVar done >>= either (throwIO :: SomeException -> IO ()) (@?= 2)
  readIORef times >>= (@?= 2)

-- What is made, and lost when a transaction is dropped between two steps of it.
made :: [(String, Int, IO ())]
made =
  [ ("callocForeignPtr", 30000, void (callocForeignPtr :: IO (ForeignPtr Int)))
  , ("mallocForeignPtrAlignedBytes", 30000, void (mallocForeignPtrAlignedBytes 100 64))
  , ("zallocByteString, in a safe call", 500, void (M.zallocByteString 1100000))
  , ("heapMallocForeignPtrBytes", 30000, withHeap $ \h -> void (heapMallocForeignPtrBytes h 100))
  , ("newHeap", 30000, void newHeap)
  , ("withMallocBytes", 30000, withMallocBytes 100 (\p -> poke p (1 :: Word8)))
  , ("withZallocBytes, in a safe call", 500, withZallocBytes 1100000 (\p -> poke p (1 :: Word8)))
  ]

-- What masks elsewhere.
masking :: [(String, Int, IO ())]
masking =
  [ ("putString", 3000, Store.newStore >>= void . (`Store.putString` text))
  , ("getString", 3000, withString $ \store h -> void (Store.getString store h))
  , ("replaceString", 3000, withString $ \store h -> Store.replaceString store h text)
  , ("push", 3000, growable >>= \g -> mapM_ (V.push g) [1 .. 40])
  , ("takeVector", 3000, growable >>= \g -> V.push g 1 >> void (V.takeVector g))
  , ("takeGrowable", 3000, V.newGrowable 0 >>= \g -> V.push g 1 >> void (M.takeGrowable g))
  , ("unsafePackMallocByteString", 3000, mi_malloc 100 >>= \p -> void (M.unsafePackMallocByteString p 100))
  , ("statsJson", 1000, void Stats.statsJson)
  ]
  where
    text = B.replicate 1000 1
    growable = V.newGrowable 0 :: IO (V.Growable Int)
    withString act = Store.newStore >>= \store -> Store.putString store text >>= act store

-- Transactions whose variable another thread changes all the time. GHC looks when a thread pauses, as
-- collections make them. Whoever is dropped is not masked afterwards.
conflicts :: Int -> IO () -> Assertion
conflicts most make = do
  source <- newTVarIO (0 :: Int)
  tries <- newIORef (0 :: Int)
  let while act = do
        _ <- act
        getMaskingState >>= (@?= Unmasked)
        yield
        readIORef tries >>= \n -> when (n < most) (while act)
      change = atomically (readTVar source >>= writeTVar source . (+ 1))
      use = atomically $ do
        n <- readTVar source
        unsafeIOToSTM (modifyIORef' tries (+ 1) >> replicateM_ 5 make)
        writeTVar source (n + 1)
  dones <- forM [change, performMinorGC, use] $ \act -> do
    done <- newEmptyMVar
    done <$ forkIO (try (while act) >>= \r -> writeIORef tries most >> putMVar done r)
  forM_ dones $ takeMVar >=> either (throwIO :: SomeException -> IO ()) pure

-- The value is frozen first, by an exception; the transaction goes on with it, and then does not ask for it.
frozenBefore :: With -> Assertion
frozenBefore with = do
  source <- newTVarIO (1 :: Int)
  begins <- newEmptyMVar
  first <- newEmptyMVar
  goesOn <- newEmptyMVar
  second <- newEmptyMVar
  done <- newEmptyMVar
  let frozen = unsafePerformIO $ with $ \p -> do
        poke p 1
        putMVar begins () >> takeMVar first
        putMVar goesOn () >> takeMVar second >> replicateM_ 1000 yield
        fromIntegral <$> peek p :: IO Int
      asks = try (evaluate frozen) :: IO (Either SomeException Int)
  worker <- forkIO $ asks >>= putMVar done . either (const 0) id
  takeMVar begins
  killThread worker
  takeMVar done >>= (@?= 0)
  _ <- forkIO $ do
    r <- atomically (readTVar source >>= \n -> if n == 1 then pure $! frozen else pure 2)
    putMVar done r
  putMVar first ()
  takeMVar goesOn
  atomically (writeTVar source 2)
  putMVar second ()
  takeMVar done >>= (@?= 2)

-- Afterwards, what it held is free.
freed :: IO () -> IO ()
freed act = do
  before <- performGC >> performGC >> liveBlocks
  act
  holds "the blocks are free again" $ (<= before + 3) <$> liveBlocks
